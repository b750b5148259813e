"""Pictures carry flows of strangers: what these may do unasked."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cli import main
from nodegraph.digests import Digests
from tests.engine.conftest import write_metadata

SPY = """\
from pathlib import Path

from nodegraph import node

Path({marker!r}).write_text("imported")


@node
def seven(number: int = 7) -> int:
    \"\"\"Give seven.

    Args:
        number: what is given.
    \"\"\"
    Path({marker!r}).write_text("run")
    return number
"""


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package by somebody else; the file is there as soon as it is imported anywhere."""
    marker, site = tmp_path / "marker", tmp_path / "site"
    write_metadata(site, "nodegraph-spy", "[nodegraph.nodes]\nspy = spy_nodes\n")
    (site / "spy_nodes.py").write_text(SPY.format(marker=str(marker)))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_STORE", "off")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return marker


def paint(path: Path, flow: dict[str, Any], **more: Any) -> None:
    """Write a picture that carries a flow."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_text("nodegraph", json.dumps({"flow": flow, "inputs": {}, **more}))
    Image.new("RGB", (4, 4)).save(path, "PNG", pnginfo=chunks)


def flow(**inputs: Any) -> dict[str, Any]:
    """A flow of the spy's node, whose input has no value yet."""
    return {
        "nodegraph": 1,
        "inputs": {"n": {"type": "integer"}},
        "nodes": {"s": {"type": "spy.seven", "inputs": {"number": {"ref": "inputs.n"}, **inputs}}},
        "outputs": {"s": {"ref": "s"}},
    }


@pytest.mark.parametrize(
    "words",
    [
        ("run", "a.png"),
        ("run", "a.png", "--n", "1"),
        ("run", "a.png", "--n", "1..2"),
        ("run", "a.png", "--set", "s.number=3"),
        ("check", "a.png"),
        ("why", "a.png", "--n", "1"),
        ("plan", "a.png", "--n", "1"),
        ("verify", "a.png"),
        ("batch", "a.png", "--data", "r.csv"),
        ("batch", "a.png", "--data", "-"),
    ],
)
def test_nothing_of_a_stranger_is_imported_or_run_unasked(
    spy: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paint(Path("a.png"), flow())
    Path("r.csv").write_text("n\n1\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 1}\n'))
    assert main([*words]) == 2
    said = capsys.readouterr().err
    assert "runs nodes of spy, installed by others; look at it" in said
    assert "  s: spy.seven" in said
    assert not spy.exists()


def test_what_is_trusted_runs(spy: Path) -> None:
    paint(Path("a.png"), flow())
    assert main(["run", "a.png", "--n", "1..2", "--trust", "--quiet"]) == 0
    assert spy.read_text() == "run"


def test_a_flow_beside_the_picture_is_looked_into(
    spy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("inner.json").write_text(json.dumps(flow()))
    outer = {"nodegraph": 1, "nodes": {"in": {"flow": "inner.json"}}, "outputs": {}}
    paint(Path("a.png"), outer)
    assert main(["run", "a.png"]) == 2
    assert "  in/s: spy.seven" in capsys.readouterr().err
    assert not spy.exists()


def load(path: str) -> dict[str, Any]:
    """A flow of our own node that reads a file."""
    nodes = {"l": {"type": "image.load", "inputs": {"path": path}}}
    return {"nodegraph": 1, "nodes": nodes, "outputs": {"o": {"ref": "l.image"}}}


def test_a_picture_does_not_reach_all_of_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither where the command is given in the home nor where the picture lies there."""
    home, other = tmp_path / "home", tmp_path / "other"
    (home / "private").mkdir(parents=True)
    other.mkdir()
    paint(home / "private" / "mine.png", {})
    monkeypatch.setenv("HOME", str(home))
    for here, name in ((home, "private/mine.png"), (other, str(home / "private" / "mine.png"))):
        monkeypatch.chdir(here)
        paint(home / "a.png", load(name))
        assert main(["run", str(home / "a.png"), "--quiet", "--out", str(tmp_path / "o")]) == 2
        assert "where no path in a workflow may lead" in capsys.readouterr().err
        allow = ("--allow", str(home / "private"))
        assert main(["run", str(home / "a.png"), *allow, "--out", str(tmp_path / "o")]) == 0
        capsys.readouterr()


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_picture_writes_over_nothing_unasked(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`verify` is taken for something that only looks."""
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("mine")
    nodes = {"n": {"type": "toys.everything", "inputs": {"to": "mine.txt"}}}
    paint(Path("a.png"), {"nodegraph": 1, "nodes": nodes, "outputs": {"n": {"ref": "n"}}})
    assert main([command, "a.png", "--trust", "--quiet"]) == 2
    assert "a picture writes nowhere unasked; allow it with --allow" in capsys.readouterr().err
    assert Path("mine.txt").read_text() == "mine"


def test_a_picture_of_dots_alone_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = {"n": {"type": "toys.number"}}
    paint(Path("...png"), {"nodegraph": 1, "nodes": nodes, "outputs": {"n": {"ref": "n"}}})
    assert main(["run", "...png", "--trust", "--quiet"]) == 0
    assert Path("out/workflow/n.json").read_text() == "7\n"


def test_a_picture_is_drawn_with_what_came_with_nodegraph(
    spy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither are others' packages imported, nor is what lies in a home looked into."""
    Path("inner.json").write_text(json.dumps(load("none.png")))
    outer = flow()
    outer["nodes"]["in"] = {"flow": "inner.json"}
    outer["outputs"]["o"] = {"ref": "in.o"}
    paint(Path("a.png"), outer)
    for home, known in ((str(spy.parent / "home"), True), (str(Path.cwd()), False)):
        monkeypatch.setenv("HOME", home)
        assert main(["graph", "a.png"]) == 0
        drawn = capsys.readouterr().out
        assert "spy.seven" in drawn
        assert ("|image|" in drawn) is known
    assert not spy.exists()


PROBE = """\
from pathlib import Path


def probe(path):
    Path({marker!r}).write_text("asked")
    return {{"kind": "checkpoint"}}


def weights(path):
    Path({marker!r}).write_text("asked")
"""


@pytest.fixture
def probed(spy: Path, tmp_path: Path) -> Path:
    """Somebody's probe; the file is there as soon as it is asked."""
    points = "[nodegraph.probes]\nalien = alien_probe\n"
    write_metadata(tmp_path / "site", "nodegraph-alien", points)
    (tmp_path / "site" / "alien_probe.py").write_text(PROBE.format(marker=str(spy)))
    Path("x.safetensors").write_text("no model")
    nodes = {"s": {"type": "diffusion.load_checkpoint", "inputs": {"file": "x.safetensors"}}}
    inputs = {"n": {"type": "integer", "default": 1}}
    outputs = {"s": {"ref": "s.model"}}
    paint(Path("a.png"), {"nodegraph": 1, "inputs": inputs, "nodes": nodes, "outputs": outputs})
    return spy


@pytest.mark.parametrize(
    "words",
    [("check",), ("run",), ("run", "--n", "1..2"), ("plan",), ("verify",)],
)
def test_a_strangers_probe_is_not_asked_unasked(probed: Path, words: tuple[str, ...]) -> None:
    main([words[0], "a.png", *words[1:]])
    assert not probed.exists()
    main(["check", "a.png", "--trust"])
    assert probed.exists()


def test_nobody_who_answers_says_no(
    spy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-D is how one leaves a question."""
    paint(Path("a.png"), flow())
    stdin = io.StringIO()
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["run", "a.png", "--n", "1"]) == 2
    assert "installed by others; look at it, then run it with --trust" in capsys.readouterr().err
    assert not spy.exists()
    stdin = io.StringIO("y\n")
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["run", "a.png", "--n", "1", "--quiet"]) == 0
    assert spy.exists()


def test_no_file_is_read_because_a_record_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have no end, or be a thousand gigabytes; only what lies near is looked at."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    read: list[str] = []

    def of(_: Digests, path: Path) -> str:
        read.append(path.name)
        return ""

    monkeypatch.setattr(Digests, "of", of)
    (tmp_path / "far.png").write_bytes(b"")
    Path("link.png").symlink_to(tmp_path / "far.png")
    os.mkfifo("pipe.png")
    for name in ("../far.png", "link.png", "pipe.png", "/proc/self/environ", str(tmp_path), "\0"):
        paint(Path("a.png"), load(name), files={"l.path": "00"})
        assert main(["run", "a.png", "--quiet"]) == 2
    assert read == []
    Path("near.png").write_bytes(b"")
    paint(Path("a.png"), load("near.png"), files={"l.path": "00"})
    assert main(["run", "a.png", "--help"]) == 0
    assert main(["graph", "a.png"]) == 0
    assert read == []
    main(["check", "a.png"])
    assert read == ["near.png"]


def test_a_record_does_not_ask_for_more_than_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts without a node that they stand in cost nothing; too many files or flows are refused."""
    monkeypatch.chdir(tmp_path)
    count = 3000
    large = {"t": {"nodegraph": 1, "nodes": {}, "x": [1] * 30_000}}
    places = {f"n{i}": "t" for i in range(count)}
    paint(Path("a.png"), load("a.png"), flows={"texts": large, "places": places})
    assert main(["check", "a.png"]) == 0
    nodes = {name: {"flow": "x"} for name in places}
    many = {"nodegraph": 1, "nodes": nodes, "outputs": {}}
    deep = {"nodegraph": 1, "nodes": {"n": {"flow": "x"}}, "outputs": {}}
    ways = {"/".join(["n"] * depth): "d" for depth in range(1, 40)}
    for record, said in (
        ({"flow": many, "flows": {"texts": large, "places": places}}, "more than 5,000 flows or"),
        ({"flow": deep, "flows": {"texts": {"d": deep}, "places": ways}}, "more than 16 deep"),
        ({"flow": many, "files": dict.fromkeys(map(str, range(20_001)), "0")}, "20,000 files"),
    ):
        paint(Path("a.png"), **record)
        capsys.readouterr()
        assert main(["run", "a.png"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


def test_what_differs_from_a_record_is_told_in_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    forged = {f"\x1b[31m{i}\na.png: the same, bit by bit": "1" for i in range(300)}
    paint(Path("a.png"), load("a.png"), packages=forged)
    main(["verify", "a.png", "--quiet"])
    lines = capsys.readouterr().out.splitlines()
    assert not any("\x1b" in line or line.startswith("a.png: the same,") for line in lines)
    assert sum(line.startswith("changed since: ") for line in lines) == 101
    assert lines[100].endswith(" more")
