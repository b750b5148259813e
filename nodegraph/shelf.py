"""What all flows of a check share: packages, models, and the files of flows that were read."""

import os
from collections import Counter
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
from .workflow import Entry, Literal, Workflow

DEEPEST: Final = 16
"""How deep flows may stand within flows."""
MOST_FLOWS: Final = 5_000
"""Flows within, each counted wherever it stands: 16 files of two flows each are 65,536."""
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
    _count: Counter[str] = field(default_factory=Counter[str])

    @classmethod
    def around(
        cls, flow: Workflow, packages: Packages, models: Models, reach: Reach | None = None
    ) -> "Shelf":
        """Return the shelf for a flow that stands in no other."""
        reach = reach or Reach.of(flow)
        return cls(packages, models, reach, (flow.file,) if flow.file else ())

    def flow(self, entry: Entry, resolver: Resolver) -> "tuple[Shelf, Workflow]":
        """Return the flow that stands in the place of a node: a file, each read once, or carried.

        Returns:
            The shelf for what that flow names, and the flow.

        Raises:
            Misfit: it is missing or not JSON, stands within itself, or there are too many.
        """
        if self._count["flows"] >= MOST_FLOWS:
            raise Misfit("too_large", f"more than {MOST_FLOWS:,} flows within flows; flatten some")
        carried = resolver.flow.within.get(entry.id)
        if carried is not None:
            return self._counted(carried, Path(entry.id))
        named = Literal(entry.flow, resolver.flow.base, True)
        path = Path(os.path.realpath(resolver.path(named, PortType("file"))))
        if path in self.trail:
            walk = " -> ".join(p.name for p in (*self.trail[self.trail.index(path) :], path))
            raise Misfit("circular_flow", f"a flow within itself, {walk}; remove one of them")
        if path not in self._read:
            try:
                self._read[path] = load(path)
            except WorkflowError as error:
                self._read[path] = error
        flow = self._read[path]
        if isinstance(flow, WorkflowError):
            raise Misfit(flow.problems[0].code, flow.problems[0].message)
        return self._counted(flow, path)

    def _counted(self, flow: Workflow, place: Path) -> "tuple[Shelf, Workflow]":
        trail = (*self.trail, place)
        if len(trail) > DEEPEST:
            raise Misfit("too_deep", f"flows stand within flows {DEEPEST} deep; flatten them")
        self._count["flows"] += 1
        self._count["nodes"] += len(flow.nodes)
        if self._count["nodes"] > MOST_NODES:
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
                    shelf, inner = self.flow(entry, resolver)
                    yield from shelf.within(inner, f"{place}{entry.id}/")
