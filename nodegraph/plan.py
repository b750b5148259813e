"""What a run does, in order: steps with constants and links, and what may be dropped when."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx  # type: ignore[import-untyped]

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


def _graph(steps: Mapping[str, Step]) -> "nx.DiGraph[str]":
    """Return the graph of steps, an edge from each step to those that use it."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(steps)
    graph.add_edges_from((s.step, step.id) for step in steps.values() for s in step.sources)
    return graph


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


def in_order(steps: Mapping[str, Step]) -> list[Step]:
    """Order steps that have no cycle; each comes after those it takes from, else as they stand."""
    place = {step: index for index, step in enumerate(steps)}
    graph = _graph(steps)
    place.update(dict.fromkeys(graph.nodes - place.keys(), -1))
    order = nx.lexicographical_topological_sort(graph, key=place.__getitem__)
    return [steps[step] for step in order if step in steps]


def cycles(steps: Mapping[str, Step]) -> Iterable[list[str]]:
    """Yield one cycle of each knot, as its steps in order."""
    graph = _graph(steps)
    place = {step: index for index, step in enumerate(graph)}
    for knot in nx.strongly_connected_components(graph):
        if len(knot) > 1 or any(graph.has_edge(step, step) for step in knot):
            first = min(knot, key=place.__getitem__)
            yield _walk(graph, knot, first)


def _walk(graph: "nx.DiGraph[str]", knot: set[str], first: str) -> list[str]:
    """Return a cycle through `first`: forward inside its knot until a step comes again."""
    path = {first: None}
    step = first
    while True:
        step = next(after for after in graph.successors(step) if after in knot)
        if step in path:
            walked = list(path)
            return walked[walked.index(step) :]
        path[step] = None


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
