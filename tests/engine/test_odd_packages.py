"""Installations that are odd or broken: each hurts only itself, and `doctor` names it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import nodegraph
from nodegraph import doctor
from nodegraph.cli import main
from nodegraph.models import Models
from nodegraph.packages import Packages, Places

from .conftest import write_metadata

FLOW = {
    "nodegraph": 1,
    "nodes": {"a": {"type": "toys.number"}},
    "outputs": {"a": {"ref": "a"}},
}
Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution of given entry points, and return where its metadata is."""

    def put(entry_points: str) -> Path:
        write_metadata(tmp_path, "odd-one", entry_points)
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path / "odd_one-1.0.dist-info"

    return put


def faults() -> list[str]:
    """Return what `doctor` says of entry points."""
    return list(dict.fromkeys((*Packages.installed().faults, *Places().faults)))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x = foo-bar", "'foo-bar' names no module; write one, such as my_nodes"),
        ("x = a b", "'a b' names no module"),
        ("x =", "'' names no module"),
        ("x = .a", "'.a' names no module"),
        ("= foo", "no workflow can write this name; use letters, digits and _, a letter first"),
        ("foo-bar = foo", "no workflow can write this name"),
        ("größe = foo", "no workflow can write this name"),
        ("_private = foo", "no workflow can write this name"),
    ],
)
@pytest.mark.parametrize("group", ["nodes", "probes", "models"])
def test_an_odd_entry_point_hurts_only_itself(
    install: Install,
    models: Path,
    line: str,
    fault: str,
    group: str,
) -> None:
    install(f"[nodegraph.{group}]\n{line}\n")
    assert nodegraph.check(FLOW, models=[models]) == ()
    (said,) = faults()
    assert said.startswith("odd-one: entry point '")
    assert fault in said


@pytest.mark.parametrize("group", ["nodes", "probes", "models"])
@pytest.mark.parametrize("line", [b"x", b"\xff = x"])
def test_entry_points_that_cannot_be_read_hurt_only_their_own(
    install: Install, models: Path, group: str, line: bytes
) -> None:
    info = install("")
    (info / "entry_points.txt").write_bytes(b"[nodegraph.%s]\n%s\n" % (group.encode(), line))
    assert nodegraph.check(FLOW, models=[models]) == ()
    (said,) = faults()
    assert said.startswith("odd-one: its entry_points.txt below ")
    assert said.endswith(" is broken; repair or uninstall it")


def test_a_probe_that_is_not_there_is_named(install: Install) -> None:
    install("[nodegraph.probes]\nx = foo.probe\n")
    assert faults() == [
        "odd-one: entry point 'x' of nodegraph.probes: there is no foo.probe; "
        "repair or uninstall it"
    ]


def test_what_is_left_of_a_distribution_is_named(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = install("[nodegraph.nodes]\nodd = odd_nodes\n")
    (tmp_path / "odd_nodes.py").write_text("")
    (info / "METADATA").unlink()
    monkeypatch.setattr(doctor, "_torch", lambda: iter(()))
    odd = Packages({"odd": Packages.installed().entries["odd"]}, faults=("a fault",))
    told = [finding.text for finding in doctor.examine(odd, Models()) if finding.fault]
    assert told == [
        "a fault",
        f"odd (unknown): its metadata below {tmp_path} is not whole; install it again",
    ]
    wanted = {**FLOW, "requires": {"odd-one": ">=1"}}
    (problem,) = nodegraph.check(wanted)
    assert problem.message == "requires.odd-one: not installed; pip install 'odd-one>=1'"


LOADING = {
    "nodegraph": 1,
    "nodes": {"a": {"type": "toys.load_model", "inputs": {"file": "big"}}},
    "outputs": {"a": {"ref": "a"}},
}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("return {}", "it says {}, not {'kind': 'a word'}"),
        ("return True", "it says true, not"),
        ("return {'kind': 5}", 'it says {"kind": 5}, not'),
        ("return {'kind': 'checkpoint', 'family': 5}", "it says {"),
        ("return {'kinds': 5}", "it says {"),
        ("raise SystemExit(3)", "it raised SystemExit: 3; raise a ValueError in words"),
        ("raise BaseException('no')", "it raised BaseException: no; raise"),
        ("raise ValueError", "ValueError"),
    ],
)
def test_a_probe_that_answers_nonsense_hurts_no_file_that_another_knows(
    install: Install,
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    body: str,
    fault: str,
) -> None:
    source = f"def probe(path):\n    {body}\ndef weights(path):\n    {body}\n"
    (tmp_path / "odd_probe.py").write_text(source)
    install("[nodegraph.probes]\nodd = odd_probe\n")
    (tmp_path / "flow.json").write_text(json.dumps(LOADING))
    words = ["check", str(tmp_path / "flow.json"), "--models", str(models)]
    assert main(words) == 0
    assert main(["plan", *words[1:]]) == 0
    (models / "big.safetensors").write_text("nobody knows this")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"a.file: big.safetensors: probe 'odd' failed: {fault}" in said


def test_what_a_probe_prints_is_no_part_of_an_answer(
    install: Install, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "print('loaded')\ndef probe(path):\n    print('asked')\n"
    (tmp_path / "odd_probe.py").write_text(source)
    install("[nodegraph.probes]\nodd = odd_probe\n")
    (tmp_path / "flow.json").write_text(json.dumps(LOADING))
    (models / "big.safetensors").write_text("nobody knows this")
    assert main(["check", str(tmp_path / "flow.json"), "--models", str(models), "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["problems"]
    assert said.err == "loaded\nasked\n"


BOX = """
from nodegraph import Codec, node, port
class BoxCodec(Codec):
    suffixes = (".box",)
    @staticmethod
    def read(path): {read}
    @staticmethod
    def write(value, stem, record): {write}
    @staticmethod
    def describe(value): {describe}
@port(codec=BoxCodec)
class Box: pass
@node(sink=True)
def box(given: Box | None = None) -> Box: return Box()
"""
BOXED = {
    "nodegraph": 1,
    "inputs": {"given": {"type": "box"}},
    "nodes": {
        "b": {"type": "odd.box", "inputs": {"given": {"ref": "inputs.given"}}},
        "n": {"type": "toys.number"},
    },
    "outputs": {"b": {"ref": "b"}, "n": {"ref": "n"}},
}
GOOD = {
    "read": "return Box()",
    "write": "p = stem.with_suffix('.box'); p.write_text('box'); return [p]",
    "describe": "return 'a box'",
}


@pytest.fixture
def boxed(install: Install, tmp_path: Path, here: Path) -> Iterator[Callable[..., int]]:
    """Run a flow with a package whose codec has odd methods."""

    def run(**odd: str) -> int:
        (tmp_path / "odd_box.py").write_text(BOX.format(**{**GOOD, **odd}))
        install("[nodegraph.nodes]\nodd = odd_box\n")
        (here / "given.box").write_text("")
        (here / "boxed.json").write_text(json.dumps(BOXED))
        return main(["run", "boxed.json", "--given", "given.box", "--out", "out", "--no-store"])

    yield run
    sys.modules.pop("odd_box", None)


def test_a_codec_that_leaves_the_program_has_failed_and_other_outputs_are_written(
    boxed: Callable[..., int], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert boxed(write="raise SystemExit") == 1
    said = capsys.readouterr().err
    assert "nodegraph: outputs.b: cannot be written into " in said
    assert "odd_box:Box, write: raised SystemExit; raise a ValueError in words" in said
    assert (here / "out" / "n.json").read_text() == "7\n"


def test_a_codec_that_leaves_the_program_while_it_reads_has_failed(
    boxed: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert boxed(read="import sys; sys.exit(0)") == 1
    assert (
        "inputs.given (read box): odd_box:Box, read: raised SystemExit" in capsys.readouterr().err
    )


def test_what_cannot_be_described_is_written(boxed: Callable[..., int], here: Path) -> None:
    assert boxed(describe="raise SystemExit") == 0
    assert (here / "out" / "b.box").read_text() == "box"


def test_paths_may_be_texts_and_none_is_said(boxed: Callable[..., int], here: Path) -> None:
    write = "p = stem.with_suffix('.box'); p.write_text('box'); return [str(p)]"
    assert boxed(write=write) == 0
    assert (here / "out" / "b.box").read_text() == "box"


def test_an_output_of_which_no_file_was_written_is_told(
    boxed: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert boxed(write="return []") == 0
    assert "b: a Box that wrote no file" in capsys.readouterr().out


def test_a_codec_that_is_none_is_refused_where_it_is_declared() -> None:
    with pytest.raises(nodegraph.PackageError, match=r"Box: its codec is .*; give a class"):

        @nodegraph.port(codec=cast("Any", object()))
        class Box:
            pass


@pytest.mark.parametrize("suffixes", [".box", ("box",), (".BOX",), None])
def test_suffixes_that_no_file_has_are_refused_where_they_are_declared(suffixes: Any) -> None:
    class BoxCodec(nodegraph.Codec[Any]):
        pass

    BoxCodec.suffixes = suffixes
    with pytest.raises(nodegraph.PackageError, match=r"suffixes are .*; write such as \(\".png\""):
        nodegraph.port(codec=BoxCodec)(type("Box", (), {}))


def test_a_type_may_stand_beside_the_module_of_the_nodes(
    install: Install, here: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").write_text("")
    kind, _, _ = BOX.format(**GOOD).partition("@node")
    (tmp_path / "odd" / "kind.py").write_text(kind)
    nodes = "from nodegraph import node\nfrom .kind import Box\n"
    nodes += "@node(sink=True)\ndef box(given: Box | None = None) -> Box: return Box()\n"
    (tmp_path / "odd" / "nodes.py").write_text(nodes)
    install("[nodegraph.nodes]\nodd = odd.nodes\n")
    (here / "given.box").write_text("")
    (here / "boxed.json").write_text(json.dumps(BOXED))
    assert main(["run", "boxed.json", "--given", "given.box", "--out", "out"]) == 0
    assert (here / "out" / "b.box").read_text() == "box"
    for name in [name for name in sys.modules if name.partition(".")[0] == "odd"]:
        del sys.modules[name]


def test_nothing_but_the_command_line_itself_leaves_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Packages, "installed", lambda: sys.exit(0))
    assert main(["nodes"]) == 1
    assert "a fault of nodegraph: SystemExit: 0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["nodes", "--nonsense"])
    assert left.value.code == 2
