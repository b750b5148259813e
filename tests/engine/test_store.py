"""What is stored is found again, and only where everything is as it was."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.cli.display import display
from nodegraph.store import Damaged, Store
from tests.engine import flows
from tests.engine.flows import ref, toy
from tests.engine.stored import Run, chain
from tests.engine.weird import Weird


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that keeps even what took no time."""
    return Store(tmp_path / "store", least=0)


def test_a_second_run_computes_nothing(store: Store) -> None:
    first, second = Run(chain(), store), Run(chain(), store)
    assert first.ran == {"bear", "coat", "hat", "said"}
    assert (second.ran, second.found) == (set(), {"said", "coat"})
    assert first.outputs == second.outputs


def test_a_change_runs_what_depends_on_it(store: Store) -> None:
    Run(chain(), store)
    changed = Run(chain(colour="blue"), store)
    assert (changed.ran, changed.found) == ({"coat", "hat", "said"}, {"bear"})
    assert changed.outputs["said"] == "blue bear in a cap"
    assert Run(chain(), store).outputs["said"] == "red bear in a cap"


def test_names_and_the_way_of_writing_do_not_count(store: Store) -> None:
    Run(chain(shiny=False), store)
    text = json.dumps(chain(shiny=False)).replace('"coat"', '"fur"').replace(".coat", ".fur")
    renamed = {**json.loads(text), "title": "Another", "ui": {"x": 1}}
    assert Run(renamed, store).ran == set()


def test_where_a_value_comes_from_does_not_count(store: Store) -> None:
    Run(chain(colour="green"), store)
    work = chain(colour=ref("inputs.c"))
    work["inputs"] = {"c": {"type": "string", "default": "green"}}
    assert Run(work, store).ran == set()
    assert Run(work, store, c="blue").found == {"bear"}


def test_a_node_that_opts_out_runs_and_so_does_all_after_it(store: Store) -> None:
    nodes = {"now": toy("tick"), "more": toy("add", a=ref("now")), "seven": toy("number")}
    work = flows.flow(nodes, {"more": "more", "seven": "seven"})
    Run(work, store)
    second = Run(work, store)
    assert (second.ran, second.found) == ({"now", "more"}, {"seven"})


def test_a_sink_always_runs_on_what_is_stored(store: Store, tmp_path: Path) -> None:
    work = flows.flow({"bear": toy("toy"), "kept": toy("keep", toy=ref("bear"))}, {})
    Run(work, store, out=tmp_path / "one")
    second = Run(work, store, out=tmp_path / "two")
    assert (second.ran, second.found) == ({"kept"}, {"bear"})
    assert (tmp_path / "two" / "kept.txt").read_text() == "bear"


def test_a_node_that_writes_a_file_always_runs(store: Store, tmp_path: Path) -> None:
    work = flows.flow({"all": toy("everything", to=str(tmp_path / "x"))}, {"all": "all"})
    Run(work, store)
    assert Run(work, store).ran == {"all"}


def test_a_value_without_a_form_on_disk_is_made_again_where_it_is_needed(
    store: Store, models: Path
) -> None:
    nodes = {
        "model": toy("load_model", file=str(models / "base.safetensors")),
        "name": toy("model_name", model=ref("model")),
        "more": toy("model_name", model=ref("model"), prefix=ref("inputs.prefix")),
    }
    work = flows.flow(nodes, {"name": "name", "more": "more"})
    work["inputs"] = {"prefix": {"type": "string", "default": "a"}}
    Run(work, store)
    assert Run(work, store).ran == set()
    assert Run(work, store, prefix="b").ran == {"model", "more"}


def test_a_model_that_changed_in_place_is_noticed(store: Store, models: Path) -> None:
    path = models / "base.safetensors"
    nodes = {"model": toy("load_model", file=str(path)), "n": toy("model_name", model=ref("model"))}
    work = flows.flow(nodes, {"n": "n"})
    Run(work, store)
    status = path.stat()
    path.write_text("checkpoint small ")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert Run(work, store).ran == {"model", "n"}
    path.rename(models / "other.safetensors")
    nodes["model"]["inputs"]["file"] = str(models / "other.safetensors")
    assert Run(work, store).ran == set()  # the name is nothing to it


def test_device_and_dtype_count_for_nodes_that_can_ask_for_them(store: Store) -> None:
    nodes = {"a": toy("toy"), "b": toy("remark", toy=ref("a")), "c": toy("where_cpu")}
    work = flows.flow(nodes, {"b": "b", "c": "c"})
    Run(work, store)
    other = Run(work, store, where={"dtype": "bfloat16"})
    assert (other.ran, other.outputs["c"]) == ({"b"}, "cpu auto")
    assert Run(work, store, where={"device": "cuda:0"}).ran == {"b"}
    assert Run(work, store).ran == set()


def test_what_steers_numerical_libraries_counts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(chain(), store)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Run(chain(), store).ran == {"bear", "coat", "hat", "said"}


def test_quick_results_are_not_worth_storing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", least=0.05)
    nodes = {"slow": toy("count", steps=1, seconds=0.06), "sum": toy("add", a=ref("slow"))}
    work = flows.flow(nodes, {"sum": "sum"})
    Run(work, store)
    second = Run(work, store)
    assert (second.ran, second.found) == ({"sum"}, {"slow"})


# Flows within, lists, conditions


def mapped(names: list[str], **paint: Any) -> dict[str, Any]:
    """Several toys, each painted, then named together."""
    nodes: dict[str, Any] = {
        "toys": toy("several", names=names),
        "painted": {**toy("paint", toy=ref("toys"), **paint), "map": ["toy"]},
        "said": toy("row", toys=ref("painted")),
    }
    return flows.flow(nodes, {"said": "said"})


def test_a_list_that_was_mapped_is_found_as_a_whole(store: Store) -> None:
    first = Run(mapped(["a", "b"]), store)
    work = mapped(["a", "b"])
    work["outputs"]["painted"] = ref("painted")
    second = Run(work, store)
    assert (second.ran, second.found) == (set(), {"said", "painted"})
    assert [each.name for each in second.outputs["painted"]] == ["red a", "red b"]
    assert first.outputs["said"] == second.outputs["said"]


def test_items_of_a_list_of_links_are_found_one_by_one(store: Store) -> None:
    def work(*names: str) -> dict[str, Any]:
        nodes: dict[str, Any] = {name: toy("toy", name=name) for name in names}
        links = [ref(name) for name in names]
        nodes["painted"] = {**toy("paint", toy=links), "map": ["toy"]}
        return flows.flow(nodes, {"painted": "painted"})

    Run(work("ape", "bear"), store)
    second = Run(work("ape", "cat", "bear"), store)
    assert second.ran == {"cat", "painted", "painted[2]"}
    assert second.found == {"ape", "bear", "painted[1]", "painted[3]"}


def inner(tmp_path: Path, colour: str = "red") -> Path:
    """A flow within: paints a toy and counts to three."""
    nodes = {"coat": toy("paint", toy=ref("inputs.toy"), colour=ref("inputs.c")), "n": toy("count")}
    work = flows.flow(nodes, {"coat": "coat", "n": "n"})
    work["inputs"] = {
        "toy": {"type": "toys.toy"},
        "c": {"type": "string", "default": colour},
    }
    path = tmp_path / "inner.json"
    path.write_text(json.dumps(work))
    return path


def test_nodes_within_a_flow_are_found_as_if_they_stood_outside(
    store: Store, tmp_path: Path
) -> None:
    Run(chain(), store)
    path = inner(tmp_path)
    nodes = {
        "bear": toy("toy", name="bear"),
        "in": {"flow": str(path), "inputs": {"toy": ref("bear")}},
        "hat": toy("dress", toy=ref("in.coat")),
    }
    second = Run(flows.flow(nodes, {"hat": "hat"}), store)
    assert (second.ran, second.found) == (set(), {"hat"})


def test_a_default_within_that_stands_in_for_a_skipped_node_counts(
    store: Store, tmp_path: Path
) -> None:
    nodes: dict[str, Any] = {
        "bear": toy("toy"),
        "long": toy("is_long", toy=ref("bear")),
        "blue": {**toy("say", words="blue"), "when": ref("long")},
        "in": {"flow": "inner.json", "inputs": {"toy": ref("bear"), "c": ref("blue")}},
    }
    path = tmp_path / "outer.json"
    path.write_text(json.dumps(flows.flow(nodes, {"coat": "in.coat"})))
    inner(tmp_path, "red")
    assert Run(path, store).outputs["coat"].name == "red bear"
    inner(tmp_path, "green")
    assert Run(path, store).outputs["coat"].name == "green bear"


def test_a_condition_that_turns_out_otherwise_is_another_result(store: Store) -> None:
    def work(least: int) -> dict[str, Any]:
        nodes: dict[str, Any] = {
            "bear": toy("toy"),
            "long": toy("is_long", toy=ref("bear"), least=least),
            "coat": {**toy("paint", toy=ref("bear")), "when": ref("long")},
            "hat": toy("dress", toy=ref("coat")),
        }
        return flows.flow(nodes, {"hat": "hat"})

    assert Run(work(9), store).outputs["hat"].name == "nothing in a cap"
    assert Run(work(2), store).outputs["hat"].name == "red bear in a cap"
    assert Run(work(9), store).outputs["hat"].name == "nothing in a cap"


def test_the_record_of_a_cached_run_is_that_of_the_first(store: Store, tmp_path: Path) -> None:
    def work(name: str) -> dict[str, Any]:
        nodes: dict[str, Any] = {
            "toys": toy("several", names=["a", "b"]),
            "each": {**toy("remark", toy=ref("toys"), said="one of them"), "map": ["toy"]},
            "first": toy("first", toys=ref("each")),
            name: toy("remark", toy=ref("first"), said="the first"),
            "hat": toy("dress", toy=ref(name)),
        }
        return flows.flow(nodes, {"hat": "hat"})

    Run(work("told"), store, out=tmp_path / "one")
    second = Run(work("told"), store, out=tmp_path / "two")
    renamed = Run(work("said"), store, out=tmp_path / "three")
    assert (second.ran, renamed.ran) == (set(), set())
    one, two, three = (
        json.loads((tmp_path / n / "hat.record.json").read_text()) for n in ("one", "two", "three")
    )
    assert set(one["notes"]) == {"each[1]", "each[2]", "told"}
    assert one == two
    assert set(three["notes"]) == {"each[1]", "each[2]", "said"}


# What goes wrong


def entry_files(store: Store) -> list[Path]:
    """Every file of every entry."""
    return sorted(path for path in store.folder.glob("??/*/**/*") if path.is_file())


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
@pytest.mark.parametrize("name", ["entry.json", "toy.txt"])
def test_damaged_entries_are_computed_again(store: Store, harm: str, name: str) -> None:
    expected = Run(chain(), store).outputs
    for path in entry_files(store):
        data = path.read_bytes()
        damaged = {"flip": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1], "empty": b""}
        if path.name == name and harm == "remove":
            path.unlink()
        elif path.name == name:
            path.write_bytes(damaged[harm])
    again = Run(chain(), store)
    assert again.outputs == expected
    assert "coat" in again.ran
    assert Run(chain(), store).ran == set()


def test_every_single_bit_of_an_entry_is_looked_at(store: Store) -> None:
    store.put("ab" * 32, "toys.toy", {"output": "text"}, [])
    (path,) = entry_files(store)
    data = path.read_bytes()
    for index in range(len(data) * 8):
        changed = bytearray(data)
        changed[index // 8] ^= 1 << index % 8
        path.write_bytes(changed)
        assert store.verify("ab" * 32)


def test_a_codec_that_cannot_restore_counts_as_damage(store: Store) -> None:
    store.put("cd" * 32, "toys.toy", {"output": Weird()}, [])
    with pytest.raises(Damaged, match="cannot"):
        store.get("cd" * 32)
    assert not store.has("cd" * 32)


def test_a_full_disk_turns_the_store_off_and_the_run_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nodegraph.store._move", full)
    run = Run(chain(), store)
    assert run.outputs["said"] == "red bear in a cap"
    assert [e["why"] for e in run.events if e["event"] == "store_off"] == [
        "No space left on device"
    ]
    assert list((store.folder / "writing").iterdir()) == []


def test_a_store_that_cannot_be_made_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = Run(chain(), Store(tmp_path / "file" / "store", least=0))
    assert run.outputs["said"] == "red bear in a cap"


def test_what_was_not_used_for_the_longest_time_leaves_first(store: Store) -> None:
    keys = [f"{n:02x}" * 32 for n in range(6)]
    for age, key in enumerate(keys):
        store.put(key, "toys.toy", {"output": "x" * 1000}, [])
        os.utime(store.folder / key[:2] / key, (age, age))
    store.get(keys[0])
    size = store.entries()[0].bytes
    store.limit = 3 * size
    store.trim()
    assert {entry.key for entry in store.entries()} == {keys[0], keys[4], keys[5]}


def test_damage_that_cannot_be_removed_is_passed_over(store: Store) -> None:
    expected = Run(chain(), store).outputs
    for path in store.folder.glob("??/*/entry.json"):
        path.write_text(path.read_text() + "x")
    shutil.rmtree(store.folder / "writing")
    (store.folder / "writing").touch()
    assert Run(chain(), store).outputs == expected


def test_true_is_not_one(store: Store) -> None:
    work = flows.flow({"e": toy("everything", table=ref("inputs.t"), real=1)}, {"e": "e"})
    work["inputs"] = {"t": {"type": "object", "default": {"a": 1}}}
    said = [Run(work, store, t={"a": value}).outputs["e"]["table"][1] for value in (1, True, 1.0)]
    assert said == ["{'a': 1}", "{'a': True}", "{'a': 1.0}"]


def test_a_terminal_shows_a_run_that_begins_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(chain(), store)
    for path in store.folder.glob("??/*/entry.json"):
        path.write_text("x")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with display(False, False, sys.stdout) as hear:
        Run(chain(), store, hear=hear)
    assert "a stored result was damaged and is computed again" in capsys.readouterr().err


# Any flow at all


@st.composite
def any_flow(draw: st.DrawFn) -> dict[str, Any]:
    """A random flow over few values, so that two of them share much."""
    nodes: dict[str, Any] = {"n0": toy("toy", name=draw(st.sampled_from(["ape", "bear"])))}
    lists: list[str] = []
    for index in range(1, draw(st.integers(1, 7))):
        before = st.sampled_from([n for n in nodes if n not in lists])
        kind = draw(st.sampled_from(["paint", "dress", "remark", "list", "skip"]))
        node = toy("dress", toy=ref(draw(before)), hat=draw(st.sampled_from(["cap", "bow"])))
        if kind == "paint":
            node = toy(
                "paint", toy=ref(draw(before)), colour=draw(st.sampled_from(["red", "blue"]))
            )
        elif kind == "remark":
            node = toy("remark", toy=ref(draw(before)), said=draw(st.sampled_from(["a", "b"])))
        elif kind == "list":
            links = [ref(draw(before)) for _ in range(draw(st.integers(1, 3)))]
            node = {**toy("paint", toy=links), "map": ["toy"]}
            lists.append(f"n{index}")
        elif kind == "skip":
            nodes[f"c{index}"] = toy(
                "is_long", toy=ref(draw(before)), least=draw(st.integers(3, 9))
            )
            lists.append(f"c{index}")
            node["when"] = ref(f"c{index}")
        nodes[f"n{index}"] = node
    ends = {name: name for name in nodes if draw(st.booleans())} or {"n0": "n0"}
    return flows.flow(nodes, ends)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(works=st.lists(any_flow(), min_size=2, max_size=4))
def test_with_a_store_every_flow_gives_what_it_gives_without(
    works: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    store = Store(folder / "store", least=0)
    for number, work in enumerate([*works, *works]):
        alone = Run(work, None, out=folder / f"{number}a")
        stored = Run(work, store, out=folder / f"{number}b")
        assert stored.outputs == alone.outputs
        for path in (folder / f"{number}a").glob("*.json"):
            assert path.read_text() == (folder / f"{number}b" / path.name).read_text()
        if number >= len(works):
            assert stored.ran == set()


def test_what_a_cpu_node_is_told_is_what_its_key_says(store: Store) -> None:
    """What it computes in is nothing that a run decides, so its result is that of any run."""
    work = flows.flow({"c": toy("where_cpu")}, {"c": "c"})
    assert Run(work, store, where={"dtype": "bfloat16"}).outputs["c"] == "cpu auto"
    assert Run(work, store, where={"device": "cuda:0"}).outputs["c"] == "cpu auto"


@pytest.mark.parametrize(
    ("one", "two"),
    [({"b": 1, "a": 2}, {"a": 2, "b": 1}), ({"in": {"b": 1, "a": 2}}, {"in": {"a": 2, "b": 1}})],
)
def test_the_order_of_an_object_counts(store: Store, one: Any, two: Any) -> None:
    """A node gets it in its order, and can tell."""
    said: list[str] = []
    for table in (one, two):
        made = Run(flows.flow({"o": toy("order", table=table)}, {"o": "o"}), store)
        said.append(made.outputs["o"])
        assert made.ran == {"o"}
    assert said[0] != said[1]


def test_the_order_of_inputs_and_outputs_does_not_count(store: Store, tmp_path: Path) -> None:
    inner: dict[str, Any] = {"nodegraph": 1, "inputs": {"n": {"type": "string"}}}
    inner["nodes"] = {"t": toy("toy", name=ref("inputs.n")), "p": toy("paint", toy=ref("t"))}
    inner["outputs"] = {"t": ref("t"), "p": ref("p")}
    path = tmp_path / "inner.json"
    path.write_text(json.dumps(inner))
    mapped = {"flow": "inner.json", "map": ["n"], "inputs": {"n": ["cat", "dog"]}}
    nodes = {"all": mapped, "t": toy("row", toys=ref("all.t")), "p": toy("row", toys=ref("all.p"))}
    work = tmp_path / "work.json"
    work.write_text(json.dumps(flows.flow(nodes, {"t": "t", "p": "p"})))
    Run(work, store)
    path.write_text(json.dumps({**inner, "outputs": {"p": ref("p"), "t": ref("t")}}))
    assert Run(work, store).ran == set()
    Run(chain(colour="red", shiny=True), store)
    assert Run(chain(shiny=True, colour="red"), store).ran == set()


def test_files_in_a_list_of_links_count_by_their_contents(store: Store, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    nodes = {
        "f": toy("find", name=str(one)),
        "both": toy("read_all", files=[ref("f"), str(two)]),
    }
    work = flows.flow(nodes, {"both": "both"})
    for text in ("2", "3"):
        two.write_text(text)
        assert Run(work, store).outputs["both"] == f"1 {text}"
