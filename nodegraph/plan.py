"""What a run does, in order: steps with constants and links, and how often a value is used."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from .spec import NodeSpec


class Source(NamedTuple):
    """An output of a step."""

    step: str
    port: str = "output"


Bound = Source | list[Any]
"""A link, or a list in which some items are links."""


INPUTS: Final = "inputs"
"""Where a body takes what is given to its group: `Source(INPUTS, port)`."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call: `function()` imports and returns what is called.

    A group has a `body` instead, which runs once, or once for each item of the `mapped` ports.
    """

    id: str
    type: str
    spec: NodeSpec
    function: Callable[[], Callable[..., Any]] | None = None
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    links: dict[str, Bound] = field(default_factory=dict[str, Bound])
    when: "Source | bool" = True
    body: "Plan | None" = None
    mapped: tuple[str, ...] = ()
    stored: str = ""
    """The key of its result, where that is restored instead of computed."""

    @property
    def sources(self) -> list[Source]:
        """Every output of another step that this one takes."""
        found = [self.when] if isinstance(self.when, Source) else []
        for bound in self.links.values():
            items = bound if isinstance(bound, list) else [bound]
            found += [item for item in items if isinstance(item, Source)]
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order that may be run, and where each output of the flow comes from."""

    steps: tuple[Step, ...]
    outputs: dict[str, Source]
    uses: dict[Source, int]
    """How often each value is taken by steps and outputs; what nothing takes is not in it."""
    waits: tuple[int, ...]
    """For each step, how many other steps it waits for."""
    followers: tuple[tuple[int, ...], ...]
    """For each step, the places of those that wait for it."""


def make_plan(steps: Mapping[str, Step], outputs: Mapping[str, Source]) -> Plan:
    """Order the steps that the outputs and sinks need; what is left over is not in the plan."""
    wanted = needed(steps, outputs)
    order = in_order({id_: step for id_, step in steps.items() if id_ in wanted})
    place = {step.id: index for index, step in enumerate(order)}
    uses = Counter(outputs.values())
    followers: list[list[int]] = [[] for _ in order]
    waits: list[int] = []
    for index, step in enumerate(order):
        sources = step.sources
        uses.update(sources)
        before = {place[source.step] for source in sources if source.step in place}
        waits.append(len(before))
        for each in before:
            followers[each].append(index)
    return Plan(tuple(order), dict(outputs), dict(uses), tuple(waits), tuple(map(tuple, followers)))


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
        if step not in found and step != INPUTS:
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
