"""What all flows of a check share: packages, models, and the files of flows that were read."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from .errors import WorkflowError
from .models import Models
from .packages import Packages
from .reach import Reach
from .reading import load
from .resolve import Resolver
from .types import PortType
from .values import Misfit
from .workflow import Literal, Workflow

DEEPEST: Final = 16
"""How deep flows may stand within flows."""
MOST_NODES: Final = 100_000
"""Nodes of all flows within together: a few files could ask for billions."""


@dataclass(frozen=True)
class Shelf:
    """Where a flow takes from what it names; `trail` are the flows that it stands within."""

    packages: Packages
    models: Models
    reach: Reach
    trail: tuple[Path, ...] = ()
    _read: dict[Path, Workflow | WorkflowError] = field(
        default_factory=dict[Path, Workflow | WorkflowError]
    )
    _count: list[int] = field(default_factory=lambda: [0])

    @classmethod
    def around(
        cls, flow: Workflow, packages: Packages, models: Models, reach: Reach | None = None
    ) -> "Shelf":
        """Return the shelf for a flow that stands in no other."""
        reach = reach or Reach.of(flow)
        return cls(packages, models, reach, (flow.file,) if flow.file else ())

    def flow(self, named: Literal, resolver: Resolver) -> "tuple[Shelf, Workflow]":
        """Read a flow that another one names, each file once.

        Returns:
            The shelf for what that flow names, and the flow.

        Raises:
            Misfit: it is missing or not JSON, stands within itself, or there are too many.
        """
        path = resolver.path(named, PortType("file")).resolve()
        trail = (*self.trail, path)
        if path in self.trail:
            walk = " -> ".join(each.name for each in trail[trail.index(path) :])
            raise Misfit("circular_flow", f"a flow within itself, {walk}; remove one of them")
        if len(trail) > DEEPEST:
            raise Misfit("too_deep", f"flows stand within flows {DEEPEST} deep; flatten them")
        if path not in self._read:
            try:
                self._read[path] = load(path)
            except WorkflowError as error:
                self._read[path] = error
        flow = self._read[path]
        if isinstance(flow, WorkflowError):
            raise Misfit(flow.problems[0].code, flow.problems[0].message)
        self._count[0] += len(flow.nodes)
        if self._count[0] > MOST_NODES:
            raise Misfit("too_large", f"flows within have more than {MOST_NODES:,} nodes")
        return replace(self, trail=trail), flow

    def within(self, flow: Workflow, place: str = "") -> Iterator[tuple[str, Workflow]]:
        """Yield a flow and those within it, by place, as far as they can be read.

        No package is looked at: this is for those who do not trust the flow yet.
        """

        def ignore(code: str, path: tuple[str | int, ...], message: str) -> None:
            """Leave it to the check."""

        yield place, flow
        resolver = Resolver(flow, self.packages, self.models, self.reach, ignore)
        for entry in flow.nodes.values():
            if entry.flow:
                with suppress(Misfit):
                    shelf, inner = self.flow(Literal(entry.flow, flow.base, True), resolver)
                    yield from shelf.within(inner, f"{place}{entry.id}/")
