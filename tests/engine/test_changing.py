"""Files that change at the wrong moment: no result is kept under the key of another content."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cli.display import display
from nodegraph.digests import Digests
from nodegraph.environment import accelerators
from nodegraph.memory import Memory
from nodegraph.store import Store
from tests.engine import flows
from tests.engine.flows import ref, toy
from tests.engine.stored import Run


def test_what_was_made_while_a_file_changed_is_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key is made before the run; a file that is edited then would be taken for the old one."""
    path, store, memory = tmp_path / "a.toy", Store(tmp_path / "store", least=0), Memory(2**20)
    nodes = {"coat": toy("paint", toy=ref("inputs.t")), "said": toy("row", toys=[ref("coat")])}
    flow = flows.flow(nodes, {"said": "said"})
    work = tmp_path / "flow.json"
    work.write_text(json.dumps(flow | {"inputs": {"t": {"type": "toy", "default": "a.toy"}}}))
    path.write_text("dog")
    with display(False, False, sys.stdout) as shown:

        def edit(event: dict[str, Any]) -> None:
            shown(event)
            if event["event"] == "planned":
                path.write_text("cat")

        first = Run(work, store, hear=edit, where={"memory": memory})
    assert first.outputs["said"] == "red cat"
    assert store.entries() == []
    assert str(path) in capsys.readouterr().err
    path.write_text("dog")
    assert Run(work, store, where={"memory": memory}).outputs["said"] == "red dog"
    second = Run(work, store, where={"memory": memory})
    assert (second.outputs["said"], second.found) == ("red dog", {"said"})


def test_a_digest_is_remembered_only_where_a_change_would_show(tmp_path: Path) -> None:
    path, digests = tmp_path / "x", Digests(tmp_path / "digests.json")
    path.write_bytes(b"one")
    first = digests.of(path)
    with path.open("r+b") as file:  # as soon as that, clocks of file systems may not have ticked
        file.write(b"two")
    assert digests.of(path) != first
    time.sleep(0.15)
    settled = digests.of(path)
    digests.remember()
    times = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.write(b"abc")
    os.utime(path, ns=(times, times))  # as `rsync --times --inplace` does
    assert Digests(tmp_path / "digests.json").of(path) != settled


def test_what_changed_is_told_by_content(tmp_path: Path) -> None:
    path, digests = tmp_path / "x", Digests(tmp_path / "digests.json")
    path.write_text("one")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "y").write_text("y")
    digests.begin()
    digests.of(path)
    digests.of(tmp_path / "folder")
    path.touch()
    assert digests.changed() == []
    (tmp_path / "folder" / "z").write_text("z")
    path.unlink()
    assert digests.changed() == [path, tmp_path / "folder"]


def test_the_cards_of_a_machine_are_part_of_what_changes_bits(tmp_path: Path) -> None:
    def install(number: int, model: str) -> None:
        place = tmp_path / "gpus" / str(number)
        place.mkdir(parents=True)
        (place / "information").write_text(f"Model: \t\t {model}\nIRQ: 7\nVideo BIOS: \xff\n")

    assert accelerators("cuda", tmp_path) == {}
    install(0, "NVIDIA H100")
    install(1, "NVIDIA H100")
    (tmp_path / "version").write_text("NVRM version: 550\n")
    known = {"cards": "NVIDIA H100", "driver": "NVRM version: 550"}
    assert accelerators("cuda:1", tmp_path) == accelerators("cuda:0", tmp_path) == known
    assert accelerators("cpu", tmp_path) == {}
    install(2, "NVIDIA T4")
    assert accelerators("cuda:2", tmp_path)["card"] == "cuda:2"
