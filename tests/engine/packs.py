"""Packages that a test writes, as if they were installed."""

import os
from pathlib import Path
from typing import Protocol

from nodegraph.api import Session
from nodegraph.digests import Digests
from nodegraph.reading import from_data
from nodegraph.settings import Settings
from nodegraph.store import Store
from tests.engine import flows
from tests.engine.stored import Run


class Put(Protocol):
    """Writes a package called `name`, whose module is `name_pack`, and returns its folder."""

    def __call__(self, name: str, modules: dict[str, str], entry: str = "") -> Path:
        """Write it; `entry` is what follows the module in the entry point."""
        ...


def lay(place: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


NODE = "from nodegraph import node\n{more}\n@node\ndef one() -> int:\n    'One.'\n    return 1\n"


def key_of(type_: str) -> str:
    """The key of a node without inputs."""
    work = Session(
        from_data(flows.flow({"a": {"type": type_}}, {"a": "a"})), digests=Digests(Path("none"))
    )
    plan = work.check().plan
    assert plan is not None
    return work.keys(plan, Settings(Path("out"))).of(plan).steps["a"]


def run_one(type_: str, store: Store) -> Run:
    """Run a flow of one node without inputs, whose output is `a`."""
    return Run(flows.flow({"a": {"type": type_}}, {"a": "a"}), store)


def restored(path: Path, text: str) -> None:
    """Write another text of the same size, with the old time of change."""
    before = path.stat()
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
