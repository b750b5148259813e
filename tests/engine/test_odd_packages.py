"""Installations that are odd or broken: each hurts only itself, and `doctor` names it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import nodegraph
from nodegraph import doctor
from nodegraph.cli import main
from nodegraph.models import Models
from nodegraph.packages import Packages

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


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what `doctor` has to mend, without asking torch."""
    monkeypatch.setattr(doctor, "_torch", lambda: iter(()))

    def found() -> list[str]:
        told = doctor.examine(Packages.installed(), Models())
        return [finding.text for finding in told if finding.fault]

    return found


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
    faults: Callable[[], list[str]],
    models: Path,
    line: str,
    fault: str,
    group: str,
) -> None:
    install(f"[nodegraph.{group}]\n{line}\n")
    assert nodegraph.check(FLOW, models=[models]) == ()
    assert main(["nodes", "toys"]) == 0
    (said,) = faults()
    assert said.startswith("odd-one: entry point '")
    assert fault in said


@pytest.mark.parametrize("group", ["nodes", "probes", "models"])
@pytest.mark.parametrize("line", [b"x", b"\xff = x"])
def test_entry_points_that_cannot_be_read_hurt_only_their_own(
    install: Install, faults: Callable[[], list[str]], models: Path, group: str, line: bytes
) -> None:
    info = install("")
    (info / "entry_points.txt").write_bytes(b"[nodegraph.%s]\n%s\n" % (group.encode(), line))
    assert nodegraph.check(FLOW, models=[models]) == ()
    (said,) = faults()
    assert said.startswith("odd-one: its entry_points.txt below ")
    assert said.endswith(" is broken; repair or uninstall it")


def test_a_probe_that_is_not_there_is_named(
    install: Install, faults: Callable[[], list[str]]
) -> None:
    install("[nodegraph.probes]\nx = foo.probe\n")
    assert faults() == [
        "odd-one: entry point 'x' of nodegraph.probes: there is no foo.probe; "
        "repair or uninstall it"
    ]


def test_what_is_left_of_a_distribution_is_named(
    install: Install, faults: Callable[[], list[str]], tmp_path: Path
) -> None:
    info = install("[nodegraph.nodes]\nodd = odd_nodes\n")
    (tmp_path / "odd_nodes.py").write_text("")
    (info / "METADATA").unlink()
    (said,) = faults()
    assert said == (f"odd (unknown): its metadata below {tmp_path} is not whole; install it again")
    wanted = {**FLOW, "requires": {"odd-one": ">=1"}}
    (problem,) = nodegraph.check(wanted)
    assert problem.message == "requires.odd-one: not installed; pip install 'odd-one>=1'"
