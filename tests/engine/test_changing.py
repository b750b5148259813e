"""Files that change at the wrong moment: no result is kept under the key of another content."""

import json
import os
import subprocess
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


def test_what_was_written_since_is_told(tmp_path: Path) -> None:
    """Also what has its first content again, which nobody can tell from a touch."""
    path, folder, digests = tmp_path / "x", tmp_path / "folder", Digests(tmp_path / "digests.json")
    path.write_text("one")
    folder.mkdir()
    (folder / "y").write_text("y")
    time.sleep(0.02)

    def told() -> list[Path]:
        digests.begin()
        digests.of(path)
        digests.of(folder)
        return digests.changed()

    assert told() == []
    path.write_text("two")
    path.write_text("one")
    assert digests.changed() == [path]
    assert told() == []
    (folder / "z").write_text("z")
    (folder / "z").unlink()
    assert digests.changed() == [folder]
    assert told() == []
    (folder / "z").write_text("z")
    path.unlink()
    assert digests.changed() == [path, folder]


def test_a_file_that_is_changed_and_changed_back_stores_nothing(tmp_path: Path) -> None:
    path, store = tmp_path / "a", Store(tmp_path / "store", least=0)
    path.write_text("one")
    texts = {"planned": "two", "finished": "one"}

    def edit(event: dict[str, Any]) -> None:
        if event["event"] in texts:
            path.write_text(texts[event["event"]])

    work = flows.flow({"said": toy("read_all", files=[str(path)])}, {"said": "said"})
    time.sleep(0.02)
    assert Run(work, store, hear=edit).outputs["said"] == "two"
    assert Run(work, store).outputs["said"] == "one"


def test_an_empty_folder_is_a_name_in_a_folder(tmp_path: Path) -> None:
    digests = Digests(tmp_path / "none")
    folder = tmp_path / "folder"
    folder.mkdir()
    found = [digests.of(folder)]
    for name in ("b", "b/c"):
        (folder / name).mkdir()
        found.append(digests.of(folder))
    (folder / "b" / "c").rmdir()
    (folder / "b" / "c").write_text("")
    found.append(digests.of(folder))
    assert len(set(found)) == 4


def test_what_a_run_uses_is_remembered_however_much_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And beside it as much of other runs as ever."""
    monkeypatch.setattr("nodegraph.digests._MOST", 5)
    place, other = tmp_path / "digests.json", tmp_path / "other"
    other.write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(20):
        (folder / str(number)).write_text(str(number))
    time.sleep(0.15)
    for path in (other, folder):
        digests = Digests(place)
        digests.of(path)
        digests.remember()
    known = json.loads(place.read_text())
    assert len(known) == 21
    for number in range(8):
        (tmp_path / f"late{number}").write_text("")
    time.sleep(0.15)
    digests = Digests(place)
    for number in range(8):
        digests.begin()
        digests.of(tmp_path / f"late{number}")
    digests.remember()
    assert len(json.loads(place.read_text())) == 6


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


def test_folders_are_digested_through_links_and_not_in_circles(tmp_path: Path) -> None:
    folder, other, digests = tmp_path / "a", tmp_path / "b", Digests(tmp_path / "none")
    (other / "within").mkdir(parents=True)
    (other / "within" / "x").write_text("one")
    folder.mkdir()
    (folder / "link").symlink_to(other)
    (other / "back").symlink_to(folder)
    (other / "twice").symlink_to(other / "within")
    before = digests.of(folder)
    assert digests.of(folder) == before
    (other / "within" / "x").write_text("two")
    after = digests.of(folder)
    assert after != before
    (other / "twice").unlink()
    (other / "twice").symlink_to(folder)
    assert digests.of(folder) != after


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """To open a pipe that nobody writes to waits for ever."""
    os.mkfifo(tmp_path / "pipe")
    digests = Digests(tmp_path / "none")
    assert digests.of(tmp_path)  # as a name without contents
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="is no file"):
            digests.of(path)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ("set_num_threads(3)", {"torch.get_num_threads": "3"}),
        (
            "set_float32_matmul_precision('medium')",
            {
                "torch.get_float32_matmul_precision": "medium",
                "torch.backends.cuda.matmul.allow_tf32": "True",
            },
        ),
        ("set_default_dtype(torch.float64)", {"torch.get_default_dtype": "torch.float64"}),
        ("get_num_threads()", {}),
    ],
)
def test_what_torch_is_turned_to_counts(turn: str, said: dict[str, str]) -> None:
    """A whole process of its own: torch begins with what its environment says."""
    assert turned(turn) == said


def turned(turn: str, **variables: str) -> dict[str, str]:
    """What is new in the surroundings of a process that has imported torch and turned it."""
    code = "import json; from nodegraph.environment import surroundings; before = surroundings(); "
    code += f"import torch; torch.{turn}; now = surroundings(); "
    code += "print(json.dumps({k: v for k, v in now.items() if before.get(k) != v}))"
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    words = [sys.executable, "-c", code]
    out = subprocess.run(words, env={**env, **variables}, capture_output=True, check=True)
    found: dict[str, str] = json.loads(out.stdout)
    return found


def test_threads_count_where_they_are_not_those_that_were_asked_for() -> None:
    assert turned("set_num_threads(2)", OMP_NUM_THREADS="1") == {"torch.get_num_threads": "2"}
    assert turned("set_num_threads(2)", OMP_NUM_THREADS="2") == {}
    assert turned("get_num_threads()", OMP_NUM_THREADS="1") == {}
