"""Runs with a store, and what they found in it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph import reading
from nodegraph.api import Session
from nodegraph.reach import Reach
from nodegraph.settings import Settings
from nodegraph.store import Store
from nodegraph.workflow import Literal
from tests.engine import flows
from tests.engine.flows import ref, toy


class Run:
    """A run: its outputs, and which nodes ran and which were found."""

    def __init__(self, work: Mapping[str, Any] | Path, store: Store | None, **values: Any) -> None:
        read = reading.load(work) if isinstance(work, Path) else reading.from_data(work)
        where = values.pop("where", {})
        out, hear = values.pop("out", None), values.pop("hear", None)
        given = {name: Literal(value, Path.cwd()) for name, value in values.items()}
        self.events: list[dict[str, Any]] = []
        heard = [self.events.append, *([hear] if hear else [])]
        told = Settings(out or Path("out"), store=store, **where)
        anywhere = (Path(tempfile.gettempdir()),)
        ran = Session(read, given, reach=Reach(anywhere)).run(
            told, write=out is not None, listeners=heard
        )
        self.outputs = dict(ran)

    def _those(self, event: str) -> set[str]:
        return {each["node"] for each in self.events if each["event"] == event}

    @property
    def ran(self) -> set[str]:
        return self._those("finished")

    @property
    def found(self) -> set[str]:
        return self._those("cached")


def chain(**paint: Any) -> dict[str, Any]:
    """bear -> bear's coat -> a bear in a hat, as text."""
    nodes = {
        "bear": toy("toy", name="bear"),
        "coat": toy("paint", toy=ref("bear"), **paint),
        "hat": toy("dress", toy=ref("coat")),
        "said": toy("row", toys=[ref("hat")]),
    }
    return flows.flow(nodes, {"said": "said", "coat": "coat"})
