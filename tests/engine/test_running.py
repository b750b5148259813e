"""Running flows as a library: values, order, release, cancellation, failures, the journal."""

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import Cancelled, NodeError, NodegraphError, WorkflowError
from tests.engine.flows import flow, ref, toy

PAINTED = flow(
    {"bear": toy("toy"), "red": toy("paint", toy=ref("bear"), colour=ref("inputs.colour"))},
    {"toy": "red"},
    inputs={"colour": {"type": "string", "default": "red", "description": "its colour"}},
)


def test_outputs_are_values_by_name() -> None:
    outputs = nodegraph.run(PAINTED, colour="blue")
    assert outputs.toy.name == outputs["toy"].name == "blue bear"
    assert list(outputs) == ["toy"]


def test_an_unknown_output_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'toy'"):
        _ = nodegraph.run(PAINTED).toys


def test_a_default_stands_where_nothing_is_given() -> None:
    assert nodegraph.run(PAINTED).toy.name == "red bear"


def test_settings_replace_what_stands_in_the_file() -> None:
    changed = nodegraph.run(PAINTED, settings={"bear.name": "duck", "red.shiny": True})
    assert changed.toy.name == "shiny red duck"


def test_a_setting_of_an_unknown_node_names_the_nearest() -> None:
    with pytest.raises(WorkflowError, match=r"no node 'baer' .* did you mean 'bear'"):
        nodegraph.run(PAINTED, settings={"baer.name": "duck"})


def test_a_value_that_does_not_fit_stops_before_anything_runs() -> None:
    events: list[Any] = []
    with pytest.raises(WorkflowError, match="'pink' is not one of"):
        nodegraph.run(PAINTED, colour="pink", on_event=events.append)
    assert events == []


def test_an_unknown_input_names_the_nearest() -> None:
    with pytest.raises(WorkflowError, match="did you mean 'colour'"):
        nodegraph.run(PAINTED, color="red")


def test_a_needed_input_without_value_is_told() -> None:
    needing = flow(
        {"a": toy("toy", name=ref("inputs.name"))},
        {"a": "a"},
        inputs={"name": {"type": "string"}},
    )
    assert nodegraph.check(needing) == ()
    with pytest.raises(WorkflowError, match=r"inputs\.name: has no value; give --name, a string"):
        nodegraph.run(needing)


def test_numbers_arrive_as_the_type_that_the_port_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"whole": 16.0, "real": 3, "items": [1.0], "file": ".", "to": "not/yet"}
    given = nodegraph.run(flow({"a": toy("everything", **settings)}, {"a": "a"})).a
    kinds = {name: kind for name, (kind, _) in given.items()}
    assert (kinds["whole"], kinds["real"], kinds["flag"]) == ("int", "float", "bool")
    assert given["items"] == ["list", "[1]"]
    assert given["to"] == ["PosixPath", str(Path.cwd() / "not/yet")]


def test_a_literal_object_may_look_like_a_link() -> None:
    given = nodegraph.run(
        flow({"a": toy("everything", table={"literal": {"ref": "a"}})}, {"a": "a"})
    ).a
    assert given["table"] == ["dict", "{'ref': 'a'}"]


def test_a_list_may_hold_links() -> None:
    nodes = {
        "a": toy("toy"),
        "b": toy("toy", name="duck"),
        "row": toy("row", toys=[ref("b"), ref("a")]),
    }
    assert nodegraph.run(flow(nodes, {"names": "row"})).names == "duck, bear"


def test_an_output_of_several_is_named_with_its_port() -> None:
    nodes = {
        "a": toy("toy"),
        "b": toy("toy", name="duck"),
        "pair": toy("pair", first=ref("a"), second=ref("b")),
    }
    assert nodegraph.run(flow(nodes, {"second": "pair.second"})).second.name == "duck"


def test_only_what_outputs_need_runs() -> None:
    nodes = {"a": toy("toy"), "idle": toy("fail")}
    events: list[Any] = []
    nodegraph.run(flow(nodes, {"a": "a"}), on_event=events.append)
    assert [e["node"] for e in events if e["event"] == "started"] == ["a"]


def test_sinks_always_run(tmp_path: Path) -> None:
    nodes = {"a": toy("toy"), "keep": toy("keep", toy=ref("a")), "b": toy("toy", name="duck")}
    nodegraph.run(flow(nodes, {"b": "b"}), out=tmp_path)
    assert (tmp_path / "kept.txt").read_text() == "bear"


def test_a_flow_without_outputs_runs_its_sinks(tmp_path: Path) -> None:
    nodes = {"a": toy("toy"), "keep": toy("keep", toy=ref("a"))}
    outputs = nodegraph.run(flow(nodes, {}), out=tmp_path)
    assert (tmp_path / "kept.txt").exists()
    assert dict(outputs) == {}


def test_an_input_of_a_port_type_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "duck.toy").write_text("duck\n")
    nodes = {"red": toy("paint", toy=ref("inputs.toy"))}
    reading = flow(nodes, {"toy": "red"}, inputs={"toy": {"type": "toy"}})
    assert nodegraph.run(reading, toy=tmp_path / "duck.toy").toy.name == "red duck"


def test_an_input_of_a_port_type_takes_a_value_from_python() -> None:
    bear = nodegraph.run(PAINTED).toy
    nodes = {"blue": toy("paint", toy=ref("inputs.toy"), colour="blue")}
    taking = flow(nodes, {"toy": "blue"}, inputs={"toy": {"type": "toys.toy"}})
    assert nodegraph.run(taking, toy=bear).toy.name == "blue red bear"


def test_relative_paths_of_a_file_start_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "duck.toy").write_text("duck\n")
    nodes = {"red": toy("paint", toy=ref("inputs.toy"))}
    declared = {"toy": {"type": "toy", "default": "duck.toy"}}
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow(nodes, {"toy": "red"}, inputs=declared)))
    assert nodegraph.run(path).toy.name == "red duck"


def test_a_failing_node_is_named_and_its_error_chained() -> None:
    with pytest.raises(NodeError, match=r"^a \(toys\.fail\): RuntimeError: no luck$") as caught:
        nodegraph.run(flow({"a": toy("fail")}, {"a": "a"}))
    assert caught.value.node == "a"
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_wrong_value_is_blamed_on_the_node_that_gave_it() -> None:
    nodes = {"lie": toy("lie"), "red": toy("paint", toy=ref("lie"))}
    with pytest.raises(
        NodeError, match=r"^lie \(toys\.lie\): result 'output' does not fit: 'not a toy'"
    ):
        nodegraph.run(flow(nodes, {"toy": "red"}))


def test_a_linked_value_out_of_range_is_told_where_it_arrives() -> None:
    nodes = {"text": toy("shout", words="pink"), "bear": toy("toy")}
    nodes["paint"] = toy("paint", toy=ref("bear"), colour=ref("text"))
    with pytest.raises(NodeError, match=r"^paint\.colour: 'pink' is not one of"):
        nodegraph.run(flow(nodes, {"toy": "paint"}))


def test_a_value_is_dropped_after_its_last_use() -> None:
    chain: dict[str, Any] = {"n0": toy("toy")}
    for index in range(1, 6):
        chain[f"n{index}"] = toy("paint", toy=ref(f"n{index - 1}"))
    alive: list[int] = []
    seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def watch(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            gc.collect(0)
            fresh = (o for o in gc.get_objects() if type(o).__name__ == "Toy")
            for item in fresh:
                seen.add(item)
            alive.append(len(seen))

    nodegraph.run(flow(chain, {"last": "n5"}), on_event=watch)
    assert max(alive) <= 2


def test_cancellation_between_steps_of_a_node() -> None:
    told: list[int] = []

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            told.append(event["done"])

    nodes = {"a": toy("count", steps=100, seconds=0.06)}
    with pytest.raises(Cancelled):
        nodegraph.run(flow(nodes, {"a": "a"}), on_event=hear, cancelled=lambda: len(told) >= 1)
    assert told == [1]


def test_cancellation_between_nodes() -> None:
    started: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            started.append(event["node"])

    nodes = {"a": toy("number"), "b": toy("add", a=ref("a"))}
    with pytest.raises(Cancelled):
        nodegraph.run(flow(nodes, {"b": "b"}), on_event=hear, cancelled=lambda: bool(started))
    assert started == ["a"]


def test_the_context_holds_device_and_scratch() -> None:
    nodes = {"a": toy("where"), "b": toy("where_cpu")}
    outputs = nodegraph.run(flow(nodes, {"a": "a", "b": "b"}), device="cuda", dtype="bfloat16")
    assert (outputs.a["device"], outputs.a["dtype"], outputs.b) == ("cuda", "bfloat16", "cpu auto")
    assert not Path(outputs.a["scratch"]).exists()


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    chain: dict[str, Any] = {"n0": toy("number", value=0)}
    for index in range(1, 3000):
        chain[f"n{index}"] = toy("add", a=ref(f"n{index - 1}"))
    assert nodegraph.run(flow(chain, {"sum": "n2999"})).sum == 2999


def test_outputs_and_journal_are_written(tmp_path: Path) -> None:
    nodes = {"a": toy("toy"), "n": toy("number"), "m": toy("load_model", file="shipped")}
    outputs = nodegraph.run(flow(nodes, {"a": "a", "n": "n", "m": "m"}), out=tmp_path)
    assert (tmp_path / "a.toy").read_text() == "bear\n"
    assert json.loads((tmp_path / "n.json").read_text()) == 7
    assert [w.about for w in outputs.written if w.name == "m"] == [
        "a Model has no file form, nothing was written"
    ]
    events = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events][:3] == ["run", "loading", "planned"]
    finished = [e for e in events if e["event"] == "finished"]
    assert {e["node"]: e["bytes"] for e in finished} == {"a": len("bear"), "m": 0, "n": 0}
    assert all(e["peak_mib"] > 0 for e in finished)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.record.json", "a.toy", "journal.jsonl", "n.json",
    ]  # fmt: skip


def test_the_journal_grows_from_run_to_run(tmp_path: Path) -> None:
    nodegraph.run(PAINTED, out=tmp_path)
    once = (tmp_path / "journal.jsonl").read_text()
    nodegraph.run(PAINTED, out=tmp_path)
    assert (tmp_path / "journal.jsonl").read_text().startswith(once)


def test_a_failure_stands_in_the_journal(tmp_path: Path) -> None:
    with pytest.raises(NodeError):
        nodegraph.run(flow({"a": toy("fail")}, {"a": "a"}), out=tmp_path)
    last = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["node"]) == ("failed", "a")


def test_the_record_holds_flow_inputs_versions_and_digests_and_no_times(tmp_path: Path) -> None:
    nodes = {"a": toy("toy", name=ref("inputs.name")), "m": toy("load_model", file="shipped")}
    declared = {"name": {"type": "string", "default": "bear"}}
    data = flow(nodes, {"a": "a", "m": "m"}, inputs=declared)
    for folder in ("one", "two"):
        nodegraph.run(data, out=tmp_path / folder, name="duck", settings={"a.name": "cat"})
    record = json.loads((tmp_path / "one" / "a.record.json").read_text())
    assert record["inputs"] == {"name": "duck"}
    assert record["flow"]["nodes"]["a"]["inputs"] == {"name": "cat"}
    assert record["packages"] == {"nodegraph-toys": "1.0"}
    assert len(record["files"]["m.file"]) == 64
    written = [(tmp_path / folder / "a.record.json").read_bytes() for folder in ("one", "two")]
    assert written[0] == written[1]


def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkflowError, match="cannot be written: Not a directory; choose another"):
        nodegraph.run(PAINTED, out=tmp_path / "file" / "out")


def test_a_list_of_links_is_as_long_as_the_port_allows() -> None:
    nodes = {"row": toy("row", toys=[ref("none")]), "none": toy("unheard")}
    nodes["later"] = toy("row", toys=[ref("row")])
    problems = nodegraph.check(flow(nodes, {"names": "later"}))
    assert [problem.code for problem in problems] == ["unknown_node", "type_mismatch"]


def test_a_flow_of_very_many_problems_is_refused_quickly() -> None:
    nodes = {f"n{index}": toy("add", a=ref(f"m{index}")) for index in range(5000)}
    problems = nodegraph.check(flow(nodes, {"n": "n1"}))
    assert len(problems) == 201
    assert problems[-1].code == "too_many"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", r"SystemExit: 0$"),
        ("generator", "GeneratorExit$"),
        ("text", "result 'output' does not fit: .* is not a string"),
    ],
)
def test_a_node_that_leaves_oddly_has_failed(how: str, said: str) -> None:
    with pytest.raises(NodeError, match=said):
        nodegraph.run(flow({"a": toy("leave", how=how)}, {"a": "a"}))


def test_an_output_that_cannot_be_written_loses_no_other(tmp_path: Path) -> None:
    nodes = {"a": toy("brittle"), "b": toy("toy")}
    with pytest.raises(NodegraphError, match=r"^outputs\.a: cannot be written .*: too brittle$"):
        nodegraph.run(flow(nodes, {"a": "a", "b": "b"}), out=tmp_path)
    assert sorted(p.name for p in tmp_path.glob("[!.]*")) == [
        "b.record.json", "b.toy", "journal.jsonl",
    ]  # fmt: skip


def test_a_home_of_nobody_is_a_missing_file() -> None:
    nodes = {"a": toy("everything", file="~nobody-of-this-name/x")}
    (problem,) = nodegraph.check(flow(nodes, {"a": "a"}))
    assert problem.code == "missing_file"


def test_messages_hold_no_control_characters() -> None:
    nodes = {"a": toy("toy", **{"na\x1b[31mme\n": "x"})}
    (problem,) = nodegraph.check(flow(nodes, {"a": "a"}))
    assert problem.message.startswith("a.na\\x1b[31mme : 'toys.toy' has no such input")


def test_an_id_is_short_enough_for_a_file_name() -> None:
    problems = nodegraph.check(flow({"a": toy("toy")}, {"x" * 101: "a"}))
    assert "too long for an id; use at most 100 characters" in problems[0].message
