"""What changes a key, and what a change is called."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodegraph.api import default_store
from nodegraph.cli import main
from nodegraph.errors import NodeError
from nodegraph.store import Store
from tests.engine import flows
from tests.engine.conftest import write_metadata
from tests.engine.packs import NODE, Put, key_of
from tests.engine.stored import Run, chain


def test_a_helper_deep_in_a_package_counts_and_another_package_does_not(put: Put) -> None:
    mine = put("mine", {"__init__.py": NODE.format(more=""), "deep/within/helper.py": "x = 1\n"})
    other = put("other", {"__init__.py": NODE.format(more="")})
    before = key_of("mine.one"), key_of("other.one")
    (mine / "deep/within/helper.py").write_text("x = 2\n")
    assert key_of("mine.one") != before[0]
    (mine / "deep/within/helper.py").write_text("x = 1\n")
    assert key_of("mine.one") == before[0]
    (other / "__init__.py").write_text(NODE.format(more="# a comment"))
    assert key_of("mine.one") == before[0]
    assert key_of("other.one") != before[1]


def test_a_package_that_another_one_imports_counts_for_it(put: Put) -> None:
    below = put("below", {"__init__.py": NODE.format(more="")})
    put("above", {"__init__.py": NODE.format(more="import below_pack")})
    before = key_of("above.one")
    (below / "__init__.py").write_text(NODE.format(more="y = 1"))
    assert key_of("above.one") != before


def test_the_version_of_a_library_counts_where_it_is_imported(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def _():\n    import somelib\n"
    put("user", {"__init__.py": NODE.format(more=""), "late.py": source})
    put("plain", {"__init__.py": NODE.format(more="")})
    keys: list[tuple[str, str]] = []
    for version in ("1.0", "2.0"):
        site = tmp_path / f"lib-{version}"
        write_metadata(site, "somelib", "", version)
        (site / "somelib.py").write_text("")
        (site / f"somelib-{version}.dist-info" / "RECORD").write_text("somelib.py,,\n")
        monkeypatch.syspath_prepend(str(site))
        from nodegraph import environment

        environment._version.cache_clear()  # pyright: ignore[reportPrivateUsage]
        keys.append((key_of("user.one"), key_of("plain.one")))
    assert keys[0][0] != keys[1][0]
    assert keys[0][1] == keys[1][1]


# `why`


def answers(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Lines of a command's answer."""
    assert main(list(words)) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def flow_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flow that was run once, with a store of its own."""
    monkeypatch.setenv("NODEGRAPH_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "flow.json"
    work = chain(colour=flows.ref("inputs.c"))
    work["inputs"] = {"c": {"type": "string", "default": "red"}}
    path.write_text(json.dumps(work))
    store = default_store()
    assert store is not None
    store.least = 0
    Run(path, store)
    return path


def test_why_names_the_input_that_is_new_and_its_node(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answers(capsys, "why", "flow.json", "said") == ["said: stored"]
    assert answers(capsys, "why", "flow.json", "said", "--c", "blue") == [
        "said: not stored",
        "coat: input 'colour' was not given, is 'blue'",
    ]
    assert answers(capsys, "why", "flow.json")[:2] == ["bear: stored", "coat: stored"]


def test_why_says_that_a_node_is_linked_to_another(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = json.loads(flow_file.read_text())
    work["nodes"]["hat"]["inputs"]["toy"] = flows.ref("bear")
    flow_file.write_text(json.dumps(work))
    assert answers(capsys, "why", "flow.json", "hat") == [
        "hat: not stored",
        "hat: input 'toy' comes from 'bear' now",
    ]


def test_why_knows_what_is_never_stored(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {"now": flows.toy("tick"), "more": flows.toy("add", a=flows.ref("now"))}
    flow_file.write_text(json.dumps(flows.flow(nodes, {"more": "more"})))
    assert answers(capsys, "why", "flow.json") == [
        "now: never stored: it runs each time",
        "more: never stored, since it depends on now",
    ]


def test_why_refuses_a_node_that_is_not_there(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "flow.json", "haat"]) == 2
    said = capsys.readouterr().err
    assert said == "nodegraph: haat: no such node, or no output needs it; did you mean 'hat'?\n"


# `cache`


def test_cache_says_lists_checks_and_clears(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "4 results, " in answers(capsys, "cache")[0]
    assert len(answers(capsys, "cache", "list")) == 4
    assert answers(capsys, "cache", "verify") == [
        "4 results are as they were written, 0 were damaged"
    ]
    next(Path("store").glob("??/*/entry.json")).write_text("?")
    assert main(["cache", "verify"]) == 1
    assert "1 were damaged" in capsys.readouterr().out
    assert answers(capsys, "cache", "clear")[0].startswith("3 results removed")
    assert "0 results" in answers(capsys, "cache")[0]


def test_a_store_that_is_off_or_of_no_size_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache"]) == 1
    assert "turned off by NODEGRAPH_STORE" in capsys.readouterr().err
    monkeypatch.setenv("NODEGRAPH_STORE", "x")
    for limit in ("much", "-1", "nan", "inf", "0", "1e300"):
        monkeypatch.setenv("NODEGRAPH_STORE_LIMIT", limit)
        assert main(["cache"]) == 2
        assert f"{limit!r} is no size" in capsys.readouterr().err


# Several processes at once

WORKER = """
import random, sys
from pathlib import Path
from nodegraph.store import Damaged, Store
seed, folder = int(sys.argv[1]), Path(sys.argv[2])
store, dice, found = Store(folder, limit=20_000, least=0), random.Random(seed), 0
for _ in range(150):
    number = dice.randrange(40)
    key = f"{number:02x}" * 32
    try:
        outputs, _ = store.get(key)
        assert outputs == {"output": [number] * 300}, outputs
        found += 1
    except Damaged as damage:
        assert "FileNotFoundError" in str(damage), damage
        store.put(key, "toys.toy", {"output": [number] * 300})
        assert not store.fault, store.fault
    if dice.random() < 0.1:
        store.trim()
print(found)
"""


def test_processes_that_read_write_and_trim_at_once_see_whole_entries(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen([*words, str(seed), str(tmp_path)], stdout=-1, stderr=-1)
        for seed in range(4)
    ]
    for worker in workers:
        out, err = worker.communicate()
        assert worker.returncode == 0, err.decode()
        assert int(out) > 0
    store = Store(tmp_path)
    assert all(store.verify(entry.key) == "" for entry in store.entries())
    assert list((tmp_path / "writing").iterdir()) == []


def test_random_text_in_the_place_of_an_entry_is_damage(tmp_path: Path) -> None:
    store, dice = Store(tmp_path, least=0), random.Random(1)
    key = "ef" * 32
    place = tmp_path / "ef" / key / "entry.json"
    place.parent.mkdir(parents=True)
    for text in ("", "[]", "{}", "\n[]", "[" * 10_000, "null", "\0" * 100):
        place.write_text(text)
        assert store.verify(key)
    for _ in range(200):
        place.write_bytes(dice.randbytes(dice.randrange(300)))
        assert store.verify(key)
    entry: Any = store.entries()[0]
    assert entry.type == "damaged"


# What this process runs, and what lies on the disk


COUNT = "from nodegraph import node\n\n\n@node\ndef one() -> int:\n    'One.'\n    return {}\n"


def run_one(store: Store) -> Any:
    return Run(flows.flow({"a": {"type": "edited.one"}}, {"a": "a"}), store)


def test_an_edit_after_the_import_stores_nothing(
    put: Put, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that lives on runs the old source, which must not stand under the new one's key."""
    store = Store(tmp_path / "store", least=0)
    source = put("edited", {"__init__.py": COUNT.format(1)}) / "__init__.py"
    assert run_one(store).outputs["a"] == 1
    assert run_one(store).found == {"a"}
    source.write_text(COUNT.format(22))
    assert run_one(store).outputs["a"] == 1  # Python does not import twice
    assert len(store.entries()) == 1
    assert "package 'edited' (dist-edited) was edited while this process" in caplog.text
    source.write_text(COUNT.format(1))
    assert run_one(store).found == {"a"}


def test_an_edit_before_a_foreign_import_is_seen_by_its_time(put: Put, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", least=0)
    source = put("early", {"__init__.py": COUNT.format(1)}) / "__init__.py"
    import importlib

    importlib.import_module("early_pack")
    source.write_text(COUNT.format(22))
    work = flows.flow({"a": {"type": "early.one"}}, {"a": "a"})
    assert Run(work, store).outputs["a"] == 1
    assert store.entries() == []


LATE = """\
from pathlib import Path
from nodegraph import node


@node
def one() -> int:
    'One.'
    Path(__file__).with_name("helper.py").write_text("VALUE = 3")
    from . import helper
    return helper.VALUE
"""


def test_an_edit_while_the_flow_runs_stores_nothing(put: Put, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", least=0)
    put("late", {"__init__.py": LATE, "helper.py": "VALUE = 20"})
    run = Run(flows.flow({"a": {"type": "late.one"}}, {"a": "a"}), store)
    assert run.outputs["a"] == 3
    assert store.entries() == []
    (changed,) = (e["files"] for e in run.events if e["event"] == "changed")
    assert [Path(file).name for file in changed] == ["helper.py"]


# What else a package is made of


def test_tables_beside_the_code_count(put: Put) -> None:
    mine = put("tables", {"__init__.py": NODE.format(more=""), "data/names.txt": "a\n"})
    before = key_of("tables.one")
    (mine / "data" / "names.txt").write_text("b\n")
    assert key_of("tables.one") != before
    before = key_of("tables.one")
    (mine / "__pycache__").mkdir(exist_ok=True)
    (mine / "__pycache__" / "x.pyc").write_text("x")
    (mine / ".swap").write_text("x")
    assert key_of("tables.one") == before


def test_modules_beside_the_package_count(put: Put, tmp_path: Path) -> None:
    """Those of its distribution, and those that no distribution answers for."""
    put("two", {"__init__.py": NODE.format(more="def _():\n    import two_lib")})
    site = tmp_path / "dist-two"
    (site / "two_lib.py").write_text("import two_deep\n")
    (site / "two_deep.py").write_text("x = 1\n")
    (site / "two_other.py").write_text("x = 1\n")
    record = "two_pack/__init__.py,,\ntwo_other.py,,\n"
    (site / "dist_two-1.0.dist-info" / "RECORD").write_text(record)
    keys = {key_of("two.one")}
    for number, name in enumerate(("two_lib.py", "two_deep.py", "two_other.py")):
        (site / name).write_text(f"import two_deep\ny = {number}\n")
        keys.add(key_of("two.one"))
    assert len(keys) == 4


def test_a_folder_on_the_path_is_no_module_of_a_package(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a package imports `data`, a folder of that name may hold a million pictures."""
    put("aside", {"__init__.py": NODE.format(more="def _():\n    import somedata")})
    (tmp_path / "here" / "somedata").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    before = key_of("aside.one")
    (tmp_path / "here" / "somedata" / "x.py").write_text("x = 1")
    assert key_of("aside.one") == before


def test_links_in_a_circle_are_walked_once(put: Put) -> None:
    mine = put("looped", {"__init__.py": NODE.format(more=""), "deep/x.py": "x = 1\n"})
    (mine / "deep" / "round").symlink_to(mine)
    (mine / "deep" / "nowhere.py").symlink_to(mine / "gone.py")
    before = key_of("looped.one")
    (mine / "deep" / "x.py").write_text("x = 22\n")
    assert key_of("looped.one") != before


def test_clearing_leaves_what_is_not_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NODEGRAPH_STORE may name a folder that is used for something else, too."""
    monkeypatch.setenv("NODEGRAPH_STORE", str(tmp_path))
    mine = [tmp_path / name for name in ("aa/mine", "ab/x", "writing/mine", "partial/mine", "y")]
    for path in mine:
        path.mkdir(parents=True)
        (path / "file").write_text("mine")
    store = Store(tmp_path, least=0)
    store.put("ab" * 32, "toys.toy", {"output": "x"})
    store.partial("cd" * 32)
    assert answers(capsys, "cache", "verify")[0].startswith("1 results are as they were written, 0")
    assert answers(capsys, "cache", "clear")[0].startswith("1 results removed")
    assert all((path / "file").read_text() == "mine" for path in mine)
    assert not list(tmp_path.glob("partial/cd*"))
    assert store.entries() == []


ITEMS = """\
from nodegraph import Context, node


@node
def one(word: str, context: Context) -> str:
    'Say more than the inputs do.'
    return f"{word} {context.%s}"


@node(cache=False)
def free(word: str, context: Context) -> str:
    'Say more than the inputs do, each time.'
    return f"{word} {context.items}"
"""


@pytest.mark.parametrize("name", ["items", "record", "out"])
def test_a_stored_node_may_not_ask_for_what_is_in_no_key(
    name: str, put: Put, tmp_path: Path
) -> None:
    """Of two equal items the second would be taken for the first."""
    pack = f"lent_{name}"
    put(pack, {"__init__.py": ITEMS % name})
    store = Store(tmp_path / "store", least=0)
    mapped = {"inputs": {"word": ["a", "a"]}, "map": ["word"]}
    with pytest.raises(NodeError, match=f"context.{name}: the result of this node is stored"):
        Run(flows.flow({"a": {"type": f"{pack}.one", **mapped}}, {"a": "a"}), store)
    free = Run(flows.flow({"a": {"type": f"{pack}.free", **mapped}}, {"a": "a"}), store)
    assert free.outputs["a"] == ["a (1,)", "a (2,)"]


def test_why_knows_the_nodes_of_a_mapped_flow(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = {"nodegraph": 1, "inputs": {"n": {"type": "string"}}}
    inner["nodes"] = {"t": flows.toy("toy", name=flows.ref("inputs.n"))}
    inner["outputs"] = {"t": flows.ref("t")}
    flow_file.with_name("inner.json").write_text(json.dumps(inner))
    within = {"flow": "inner.json", "map": ["n"], "inputs": {"n": ["cat", "dog"]}}
    nodes = {"all": within, "said": flows.toy("row", toys=flows.ref("all.t"))}
    flow_file.write_text(json.dumps(flows.flow(nodes, {"said": "said"})))
    assert "all[]/t: looked for item by item" in answers(capsys, "why", "flow.json")
    store = default_store()
    assert store is not None
    store.least = 0
    Run(flow_file, store)
    told = answers(capsys, "why", "flow.json")
    assert "all: stored" in told
    assert "all[]/t: stored as a part of 'all'" in told
    within["inputs"] = {"n": ["cat", "hare"]}
    flow_file.write_text(json.dumps(flows.flow(nodes, {"said": "said"})))
    assert answers(capsys, "why", "flow.json", "all[]/t")[0] == "all[]/t: looked for item by item"


def test_why_of_a_picture(flow_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"type": "image.mask_shape", "inputs": {"width": 8, "height": 8}}
    picture = {"type": "image.image_from_mask", "inputs": {"mask": flows.ref("m")}}
    flow_file.write_text(json.dumps(flows.flow({"m": shape, "p": picture}, {"p": "p"})))
    assert main(["run", "flow.json", "--quiet", "--out", "o"]) == 0
    told = answers(capsys, "why", "o/p.png", "p", "--set", "m.width=16")
    assert told == ["p: not stored", "no run of this flow is remembered"]


def test_a_node_after_flags_is_told_where_it_goes(
    flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "flow.json", "--c", "blue", "said"]) == 2
    said = capsys.readouterr().err
    assert said == "nodegraph: unknown argument 'said'; a node's name goes before all flags\n"
    assert main(["run", "flow.json", "--c", "blue", "said"]) == 2
    assert "see 'nodegraph run flow.json --help'" in capsys.readouterr().err
