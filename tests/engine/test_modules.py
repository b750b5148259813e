"""Modules that packages are made of, and what a process that lives on has imported of them."""

import json
import os
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nodegraph.packages import Packages
from nodegraph.reading import from_data
from nodegraph.rows import Row
from nodegraph.store import Store
from nodegraph.worker import Job, Worker
from nodegraph.workflow import Literal
from tests.engine import flows
from tests.engine.conftest import write_metadata
from tests.engine.packs import NODE, Put, key_of, lay, restored, run_one

CALLS = """\
from nodegraph import node


@node
def one() -> int:
    'One.'
    import {helper} as helper
    return helper.VALUE
"""
EARLY = """\
import {helper} as helper
from nodegraph import node


@node
def one() -> int:
    'One.'
    return helper.VALUE
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", least=0)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that no distribution has brought."""
    folder = tmp_path / "beside"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


# What was imported before


def test_a_helper_that_was_imported_before_it_was_edited(put: Put, store: Store) -> None:
    """The package itself is imported by the run, and finds its helper imported already."""
    folder = put(
        "ha", {"__init__.py": "", "nodes.py": EARLY.format(helper="ha_pack.helper")}, ".nodes"
    )
    (folder / "helper.py").write_text("VALUE = 1\n")
    import_module("ha_pack.helper")
    (folder / "helper.py").write_text("VALUE = 2222\n")
    assert run_one("ha.one", store).outputs["a"] == 1
    assert store.entries() == []


def test_a_helper_that_another_package_has_imported(put: Put, beside: Path, store: Store) -> None:
    (beside / "shared_h.py").write_text("VALUE = 1\n")
    put("pb", {"__init__.py": EARLY.format(helper="shared_h")})
    put("pc", {"__init__.py": CALLS.format(helper="shared_h")})
    assert run_one("pb.one", store).outputs["a"] == 1
    (beside / "shared_h.py").write_text("VALUE = 2222\n")
    assert run_one("pc.one", store).outputs["a"] == 1
    assert len(store.entries()) == 1


def test_a_helper_that_a_node_has_imported_late(put: Put, beside: Path, store: Store) -> None:
    (beside / "late_h.py").write_text("VALUE = 1\n")
    put("la", {"__init__.py": CALLS.format(helper="late_h")})
    assert run_one("la.one", store).outputs["a"] == 1
    assert run_one("la.one", store).found == {"a"}
    (beside / "late_h.py").write_text("VALUE = 2222\n")
    assert run_one("la.one", store).outputs["a"] == 1
    assert len(store.entries()) == 1


def test_a_touch_is_no_edit(put: Put, store: Store) -> None:
    folder = put("touched", {"__init__.py": NODE.format(more="")})
    assert run_one("touched.one", store).ran == {"a"}
    os.utime(folder / "__init__.py")
    assert run_one("touched.one", store).found == {"a"}


def test_a_module_that_goes_while_the_flow_runs_loses_no_result(put: Put, store: Store) -> None:
    gone = "Path(helper.__file__).unlink(missing_ok=True)"
    source = CALLS.format(helper="gone_pack.helper").replace(
        "    return", f"    from pathlib import Path\n    {gone}\n    return"
    )
    put("gone", {"__init__.py": source, "helper.py": "VALUE = 1\n"})
    assert run_one("gone.one", store).outputs["a"] == 1
    assert store.entries() == []
    assert run_one("gone.one", store).outputs["a"] == 1


def test_a_worker_sees_an_edit_before_the_import(
    put: Put, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows came from the store so far, and its package is not imported yet."""
    monkeypatch.setenv("NODEGRAPH_STORE", str(store.folder))
    source = "from nodegraph import node\n@node\ndef one(number: int) -> int:\n    'One.'\n    {}\n"
    slow = "import time; time.sleep(0.01); return number + {}"
    init = put("wa", {"__init__.py": source.format(slow.format(1))}) / "__init__.py"
    node = {"type": "wa.one", "inputs": {"number": flows.ref("inputs.n")}}
    flow = flows.flow({"a": node}, {"a": "a"}, inputs={"n": {"type": "integer"}})
    values = {"n": Literal(1, tmp_path)}
    job = Job(from_data(flow), tmp_path / "out")
    assert Worker(job).do(Row(1, "x1", values), "").outputs == {"a": 2}
    del sys.modules["wa_pack"]
    worker = Worker(job)
    assert worker.do(Row(2, "x2", values), "").outputs == {"a": 2}
    assert "wa_pack" not in sys.modules
    init.write_text(source.format(slow.format(1000)))
    assert worker.do(Row(3, "x3", values), "").outputs == {"a": 1001}
    assert worker.do(Row(4, "x4", values), "").outputs == {"a": 1001}


# What a package is made of


def test_a_library_that_is_installed_to_be_edited_counts(
    put: Put, beside: Path, tmp_path: Path
) -> None:
    for name, editable in (("edlib", True), ("fixlib", False)):
        write_metadata(beside, name, "")
        info = beside / f"{name}-1.0.dist-info"
        (info / "top_level.txt").write_text(f"{name}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")
        (info / "direct_url.json").write_text(json.dumps({"dir_info": {"editable": editable}}))
        (beside / f"{name}.py").write_text("x = 1\n")
        put(f"uses_{name}", {"__init__.py": NODE.format(more=f"def _():\n    import {name}")})
        before = key_of(f"uses_{name}.one")
        (beside / f"{name}.py").write_text("x = 22\n")
        assert (key_of(f"uses_{name}.one") != before) is editable


@pytest.mark.parametrize(
    "line",
    [
        "import soon",
        "from soon import x",
        "import_module('soon')",
        "importlib.import_module('soon.deep')",
        "__import__('soon')",
    ],
)
def test_a_module_that_appears_later_counts(put: Put, beside: Path, line: str) -> None:
    optional = f"def _():\n    try:\n        {line}\n    except ImportError:\n        pass"
    put("optional", {"__init__.py": NODE.format(more=optional)})
    keys = [key_of("optional.one")]
    lay(beside, {"soon/__init__.py": "x = 1\n"})
    keys.append(key_of("optional.one"))
    (beside / "soon" / "__init__.py").write_text("x = 22\n")
    keys.append(key_of("optional.one"))
    assert len(set(keys)) == 3
    assert key_of("optional.one") == keys[-1]


@pytest.mark.parametrize("line", ["import nsroot.helper", "from nsroot import helper"])
def test_modules_in_namespaces_count(put: Put, beside: Path, line: str) -> None:
    lay(beside, {"nsroot/helper.py": "x = 1\n", "nsroot/other.py": "x = 1\n"})
    put("spaced", {"__init__.py": NODE.format(more=f"def _():\n    {line}")})
    before = key_of("spaced.one")
    (beside / "nsroot" / "other.py").write_text("x = 22\n")
    assert key_of("spaced.one") == before
    (beside / "nsroot" / "helper.py").write_text("x = 22\n")
    assert key_of("spaced.one") != before


def test_a_package_in_a_namespace_is_not_all_of_it(
    beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))
    write_metadata(beside, "ns-mine", "[nodegraph.nodes]\nnsmine = nstop.mine\n")
    lay(beside, {"nstop/mine/__init__.py": NODE.format(more=""), "nstop/theirs/x.py": "x = 1\n"})
    before = key_of("nsmine.one")
    (beside / "nstop" / "theirs" / "x.py").write_text("x = 22\n")
    assert key_of("nsmine.one") == before
    (beside / "nstop" / "mine" / "y.py").write_text("")
    assert key_of("nsmine.one") != before


def test_a_module_that_is_imported_by_a_name_made_up_counts(put: Put, beside: Path) -> None:
    (beside / "dyn_helper.py").write_text("x = 1\n")
    more = "import importlib\nimportlib.import_module('dyn_' + 'helper')"
    put("dynamic", {"__init__.py": NODE.format(more=more)})
    before = key_of("dynamic.one")
    (beside / "dyn_helper.py").write_text("x = 22\n")
    assert key_of("dynamic.one") != before


def test_code_without_its_source_counts(put: Put) -> None:
    folder = put("compiled", {"__init__.py": NODE.format(more=""), "bare.pyc": "1"})
    before = key_of("compiled.one")
    (folder / "bare.pyc").write_text("22")
    assert key_of("compiled.one") != before


def test_an_edit_that_keeps_size_and_time_counts(put: Put) -> None:
    folder = put("sly", {"__init__.py": NODE.format(more="x = 1")})
    before = key_of("sly.one")
    restored(folder / "__init__.py", NODE.format(more="x = 2"))
    assert key_of("sly.one") != before


def test_a_helper_in_an_archive_counts(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "lib.zip"
    monkeypatch.syspath_prepend(str(archive))
    put("zipped", {"__init__.py": NODE.format(more="import in_zip")})
    keys = set[str]()
    for text in ("x = 1\n", "x = 22\n"):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("in_zip.py", text)
        sys.path_importer_cache.pop(str(archive), None)
        keys.add(key_of("zipped.one"))
    assert len(keys) == 2


def test_odd_names_of_files_in_a_package_do_no_harm(put: Put) -> None:
    folder = put("oddly", {"__init__.py": NODE.format(more="")})
    (folder / os.fsdecode(b"t\xe4ble.txt")).write_text("1")
    before = key_of("oddly.one")
    (folder / os.fsdecode(b"t\xe4ble.txt")).write_text("22")
    assert key_of("oddly.one") != before


def test_a_path_that_grows_at_import_builds_no_manifest_twice(put: Put, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    more = f"__path__.append({str(tmp_path / 'more')!r})"
    put("growing", {"__init__.py": NODE.format(more=more)})
    Packages.installed().manifest("growing")
    (place,) = (tmp_path / "cache" / "manifests").glob("growing-*")
    before = place.stat().st_ino
    Packages.installed().manifest("growing")
    assert place.stat().st_ino == before


def test_a_module_without_a_spec_is_no_fault(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("stubbed", {"__init__.py": NODE.format(more="def _():\n    import stub_of_mine")})
    stub: Any = type(sys)("stub_of_mine")
    stub.__spec__ = None
    monkeypatch.setitem(sys.modules, "stub_of_mine", stub)
    assert key_of("stubbed.one")


def test_what_a_run_within_a_package_writes_is_no_part_of_it(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put("within", {"__init__.py": NODE.format(more=""), "journal.jsonl": "mine"})
    monkeypatch.chdir(folder)
    before = key_of("within.one")
    lay(folder, {"out/flow/journal.jsonl": "{}", "out/flow/a.json": "1", "out/b/batch.jsonl": "{}"})
    assert key_of("within.one") == before
    lay(folder, {"journal.jsonl": "of the package itself"})
    assert key_of("within.one") != before
