"""Pictures carry flows of strangers: what these may do unasked."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cli import main
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
