"""What a run does, in order: steps with constants and links, and what may be dropped when."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any

from .spec import NodeSpec


@dataclass(frozen=True, slots=True)
class Source:
    """An output of a step."""

    step: str
    port: str = "output"


Bound = Source | list[Any]
"""A link, or a list in which some items are links."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call: `function()` imports and returns what is called."""

    id: str
    type: str
    spec: NodeSpec
    function: Callable[[], Callable[..., Any]]
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    links: dict[str, Bound] = field(default_factory=dict[str, Bound])

    @property
    def sources(self) -> list[Source]:
        """Every output of another step that this one takes."""
        found: list[Source] = []
        for bound in self.links.values():
            items = bound if isinstance(bound, list) else [bound]
            found += [item for item in items if isinstance(item, Source)]
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order that may be run, and where each output of the flow comes from."""

    steps: tuple[Step, ...]
    outputs: dict[str, Source]
    releases: tuple[tuple[Source, ...], ...]
    """For each step, the values that nothing needs after it."""


def make_plan(steps: Mapping[str, Step], outputs: Mapping[str, Source]) -> Plan:
    """Order the steps that the outputs and sinks need; what is left over is not in the plan."""
    wanted = needed(steps, outputs)
    order = in_order({id_: step for id_, step in steps.items() if id_ in wanted})
    return Plan(tuple(order), dict(outputs), _releases(order, set(outputs.values())))


def in_order(steps: Mapping[str, Step]) -> list[Step]:
    """Order steps that have no cycle; each comes after those it takes from, else as they stand."""
    names = list(steps)
    place = {step: index for index, step in enumerate(names)}
    sorter = TopologicalSorter(_before(steps))
    sorter.prepare()
    ready: list[int] = []
    order: list[Step] = []
    while sorter.is_active():
        for step in sorter.get_ready():
            heappush(ready, place[step])
        first = names[heappop(ready)]
        order.append(steps[first])
        sorter.done(first)
    return order


def needed(steps: Mapping[str, Step], outputs: Mapping[str, Source]) -> set[str]:
    """Return the steps that outputs or sinks depend on, themselves included."""
    pending = [source.step for source in outputs.values()]
    pending += [step.id for step in steps.values() if step.spec.sink]
    found: set[str] = set()
    while pending:
        step = pending.pop()
        if step not in found:
            found.add(step)
            pending += [source.step for source in steps[step].sources]
    return found


def cycles(steps: Mapping[str, Step]) -> Iterator[list[str]]:
    """Yield cycles that share no step, each along its links from what stands first in the file."""
    before = _before(steps)
    place = {step: index for index, step in enumerate(steps)}
    while True:
        try:
            TopologicalSorter(before).prepare()
        except CycleError as error:
            found: list[str] = error.args[1][:-1]
            start = found.index(min(found, key=place.__getitem__))
            yield found[start:] + found[:start]
            broken = set(found)
            kept = {step: links for step, links in before.items() if step not in broken}
            before = {step: [b for b in links if b not in broken] for step, links in kept.items()}
        else:
            return


def _before(steps: Mapping[str, Step]) -> dict[str, list[str]]:
    """Return for each step the known steps that it takes from, in the order of its links."""
    return {
        id_: [source.step for source in step.sources if source.step in steps]
        for id_, step in steps.items()
    }


def _releases(order: list[Step], kept: set[Source]) -> tuple[tuple[Source, ...], ...]:
    """Find the last use of every value; what is never used is dropped where it is made."""
    last: dict[Source, int] = {}
    for index, step in enumerate(order):
        last.update({Source(step.id, port): index for port in step.spec.outputs})
        last.update(dict.fromkeys(step.sources, index))
    drops: list[list[Source]] = [[] for _ in order]
    for source, index in last.items():
        if source not in kept:
            drops[index].append(source)
    return tuple(map(tuple, drops))
