"""Other people's packages: found, kept apart, and harmless to flows that do not use them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import manifest
from nodegraph.packages import Packages

from .conftest import write_metadata

Put = Callable[..., Path]


def flow(type_: str) -> dict[str, Any]:
    """A flow of one node."""
    return {"nodegraph": 1, "nodes": {"a": {"type": type_}}, "outputs": {"a": {"ref": "a"}}}


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put a package of one module on the path, each distribution in a folder of its own."""
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))

    def write(name: str, source: str, distribution: str = "") -> Path:
        folder = tmp_path / (distribution or f"dist-{name}")
        entry = f"[nodegraph.nodes]\n{name} = {name}_nodes\n"
        write_metadata(folder, folder.name, entry)
        module = folder / f"{name}_nodes.py"
        module.write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        return module

    return write


GOOD = "from nodegraph import node\n@node\ndef {name}() -> int:\n    'One.'\n    return {value}\n"


def test_a_package_is_found_and_runs(put: Put) -> None:
    put("fine", GOOD.format(name="one", value=1))
    assert nodegraph.run(flow("fine.one")).a == 1
    sys.modules.pop("fine_nodes")


def test_a_package_that_cannot_be_imported_hurts_only_flows_that_use_it(put: Put) -> None:
    put("ill", "import nothing_of_this_name")
    put("rude", "raise SystemExit(3)")
    put("fine", GOOD.format(name="one", value=1))
    assert nodegraph.check(flow("fine.one")) == ()
    (problem,) = nodegraph.check(flow("ill.one"))
    assert (problem.code, problem.pointer) == ("broken_package", "/nodes/a/type")
    assert problem.message == (
        "a: package 'ill' (dist-ill): cannot be imported: ModuleNotFoundError: "
        "No module named 'nothing_of_this_name'; repair or uninstall it"
    )
    (problem,) = nodegraph.check(flow("rude.one"))
    assert "(dist-rude): cannot be imported: SystemExit: 3" in problem.message


def test_two_distributions_of_one_name_are_both_named(put: Put) -> None:
    put("twin", GOOD.format(name="one", value=1), "dist-a")
    put("twin", GOOD.format(name="one", value=2), "dist-b")
    (problem,) = nodegraph.check(flow("twin.one"))
    assert "package 'twin': provided by dist-" in problem.message
    assert "dist-a 1.0" in problem.message
    assert "dist-b 1.0" in problem.message
    assert nodegraph.check(flow("toys.toy")) == ()


def test_the_manifest_is_read_again_when_a_source_changes(put: Put) -> None:
    module = put("growing", GOOD.format(name="one", value=1))
    assert Packages.installed().manifest("growing").nodes == ("one",)
    module.write_text(GOOD.format(name="two", value=2) + "# longer")
    assert Packages.installed().manifest("growing").nodes == ("two",)


def test_a_damaged_manifest_is_built_again(put: Put, tmp_path: Path) -> None:
    put("mended", GOOD.format(name="one", value=1))
    Packages.installed().manifest("mended")
    (kept,) = (tmp_path / "cache" / "manifests").glob("mended-*.json")
    kept.write_text(kept.read_text()[:50])
    assert Packages.installed().manifest("mended").nodes == ("one",)
    assert json.loads(kept.read_text())["package"] == "mended"


def test_a_cache_that_cannot_be_written_only_costs_time(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("uncached", GOOD.format(name="one", value=1))
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "blocked" / "cache"))
    assert Packages.installed().manifest("uncached").nodes == ("one",)


def test_checking_imports_neither_the_package_nor_numpy(put: Put) -> None:
    put("quiet", GOOD.format(name="one", value=1))
    assert nodegraph.check(flow("quiet.one")) == ()
    assert "quiet_nodes" not in sys.modules


SLOW = """
from pathlib import Path
from time import sleep
with open(Path(__file__).with_name("imported"), "a") as file:
    file.write("once ")
sleep({seconds})
"""


def test_a_package_that_takes_long_to_import_is_waited_for_once(
    put: Put, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = put("slow", SLOW.format(seconds=1) + GOOD.format(name="one", value=1))
    put("fine", GOOD.format(name="one", value=1))
    count = module.with_name("imported")
    assert nodegraph.check(flow("fine.one")) == ()
    assert not count.exists()  # another package's flow does not wait
    monkeypatch.setattr(manifest, "PATIENT_SECONDS", 0.2)
    for _ in range(3):
        assert nodegraph.check(flow("slow.one")) == ()
    assert count.read_text() == "once "
    (said,) = [record.getMessage() for record in caplog.records]
    assert "package 'slow' (dist-slow) takes long to import; it is waited for" in said


def test_a_package_that_takes_too_long_to_import_is_given_up(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "PATIENT_SECONDS", 0.2)
    monkeypatch.setattr(manifest, "IMPORT_SECONDS", 1)
    put("stuck", SLOW.format(seconds=60))
    (problem,) = nodegraph.check(flow("stuck.one"))
    assert problem.code == "broken_package"
    assert "(dist-stuck): cannot be imported: not done after 1 s" in problem.message


def test_a_node_that_is_defined_twice_is_refused_with_both_places(put: Put) -> None:
    put("twice", GOOD.format(name="one", value=1) + GOOD.format(name="one", value=2))
    put("fine", GOOD.format(name="one", value=1))
    (problem,) = nodegraph.check(flow("twice.one"))
    assert problem.code == "broken_package"
    assert "'one' is two nodes: twice_nodes, line 2 and twice_nodes, line 7" in problem.message
    assert nodegraph.check(flow("fine.one")) == ()


CROWDED = """
from random import random
from functools import partial
class Odd:
    def __getattr__(self, name):
        raise RuntimeError("outside of a context")
odd, add, nothing = Odd(), [].append, partial(print)
nothing.__module__ = None
"""


def test_whatever_else_stands_in_a_module_is_no_node(put: Put) -> None:
    put("crowded", CROWDED + GOOD.format(name="one", value=1))
    assert Packages.installed().manifest("crowded").nodes == ("one",)
