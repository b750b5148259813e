"""Flows that stand in the place of a node: their inputs, outputs, files, problems and records."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import NodeError, WorkflowError
from nodegraph.cli import main
from tests.engine.flows import flow, ref, toy

INNER = flow(
    {
        "made": toy("toy", name=ref("inputs.name")),
        "red": toy("paint", toy=ref("made"), colour=ref("inputs.colour")),
        "idle": toy("fail"),
    },
    {"toy": "red", "plain": "made", "trouble": "idle"},
    inputs={
        "name": {"type": "string"},
        "colour": {"type": "string", "default": "red", "enum": ["red", "green", "blue"]},
    },
)
PAINTING = flow(
    {"red": toy("paint", toy=ref("inputs.toy"), colour=ref("inputs.colour"))},
    {"toy": "red"},
    inputs={"toy": {"type": "toy"}, "colour": {"type": "string", "default": "green"}},
)


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write flows beside each other and return the first."""
    monkeypatch.chdir(tmp_path)

    def write(**flows: dict[str, Any]) -> Path:
        for name, data in flows.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(data))
        return tmp_path / f"{next(iter(flows))}.json"

    return write


def within(file: str, /, **inputs: Any) -> dict[str, Any]:
    """A flow in the place of a node."""
    return {"flow": file, "inputs": inputs}


def test_a_flow_stands_in_the_place_of_a_node(save: Any) -> None:
    nodes = {"bear": within("inner.json", name="bear"), "again": toy("dress", toy=ref("bear.toy"))}
    outer = save(outer=flow(nodes, {"toy": "again"}), inner=INNER)
    assert nodegraph.check(outer) == ()
    assert nodegraph.run(outer).toy.name == "red bear in a cap"


def test_only_what_is_needed_of_a_flow_within_runs(save: Any) -> None:
    outer = save(
        outer=flow({"a": within("inner.json", name="bear")}, {"t": "a.plain"}), inner=INNER
    )
    started: list[str] = []
    nodegraph.run(
        outer, on_event=lambda e: started.append(e["node"]) if e["event"] == "started" else None
    )
    assert started == ["a", "a/made"]


def test_links_declared_inputs_and_values_arrive_in_a_flow_within(save: Any) -> None:
    nodes = {
        "duck": toy("toy", name="duck"),
        "a": within("painting.json", toy=ref("duck"), colour=ref("inputs.shade")),
        "b": within("painting.json", toy=ref("a")),
        "row": toy("row", toys=[ref("a"), ref("b")]),
    }
    declared = {"shade": {"type": "string", "default": "blue"}}
    outer = save(outer=flow(nodes, {"row": "row"}, inputs=declared), painting=PAINTING)
    assert nodegraph.run(outer).row == "blue duck, green blue duck"


def test_a_flow_of_flows_alone_declares_types_of_theirs(save: Any, tmp_path: Path) -> None:
    (tmp_path / "a.toy").write_text("cat")
    middle = flow(
        {"in": within("painting.json", toy=ref("inputs.t"))},
        {"toy": "in.toy"},
        inputs={"t": {"type": "toy"}},
    )
    nodes = {"in": within("middle.json", t=ref("inputs.t"))}
    inputs = {"t": {"type": "toys.toy", "default": "a.toy"}}
    path = save(
        outer=flow(nodes, {"toy": "in.toy"}, inputs=inputs),
        middle=middle,
        painting=PAINTING,
    )
    assert nodegraph.run(path).toy.name == "green cat"


def test_paths_start_at_the_file_in_which_they_stand(save: Any, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "own.toy").write_text("own")
    (tmp_path / "given.toy").write_text("given")
    declared = {"toy": {"type": "toy", "default": "own.toy"}}
    inner = flow({"red": toy("paint", toy=ref("inputs.toy"))}, {"toy": "red"}, inputs=declared)
    (tmp_path / "deep" / "inner.json").write_text(json.dumps(inner))
    nodes = {
        "own": within("deep/inner.json"),
        "given": within("deep/inner.json", toy="given.toy"),
        "row": toy("row", toys=[ref("own"), ref("given")]),
    }
    assert nodegraph.run(save(outer=flow(nodes, {"row": "row"}))).row == "red own, red given"


def test_models_and_their_families_are_checked_through_flows_within(
    save: Any, models: Path
) -> None:
    loading = flow(
        {"model": toy("load_model", file=ref("inputs.file"))},
        {"model": "model"},
        inputs={"file": {"type": "string", "default": "base"}},
    )
    steering = flow(
        {
            "control": toy("load_control", file="edges"),
            "steered": toy("steer", model=ref("inputs.model"), control=ref("control")),
        },
        {"model": "steered"},
        inputs={"model": {"type": "model"}},
    )
    nodes = {
        "load": within("loading.json", file=ref("inputs.file")),
        "steer": within("steering.json", model=ref("load")),
    }
    declared = {"file": {"type": "string", "default": "base"}}
    data = flow(nodes, {"model": "steer"}, inputs=declared)
    outer = save(outer=data, loading=loading, steering=steering)
    assert nodegraph.check(outer, models=[models]) == ()
    (problem,) = nodegraph.check(outer, models=[models], inputs={"file": "big"})
    assert problem.code == "family_mismatch"
    assert problem.pointer == "/nodes/steer/flow"
    assert problem.message.startswith("steer (steering.json): steered.control: of family 'small'")


def test_a_failing_node_within_is_named_with_its_way(save: Any) -> None:
    nodes = {"a": within("inner.json", name="bear")}
    outer = save(outer=flow(nodes, {"t": "a.trouble"}), inner=INNER)
    with pytest.raises(NodeError, match=r"^a/idle \(toys\.fail\): RuntimeError: no luck$"):
        nodegraph.run(outer)


def test_a_flow_within_a_flow_within_a_flow(save: Any) -> None:
    names = ["one", "two", "three"]
    flows = {
        name: flow(
            {"a": within(f"{after}.json", toy=ref("inputs.toy"))},
            {"toy": "a"},
            inputs={"toy": {"type": "toys.toy"}},
        )
        for name, after in zip(names, [*names[1:], "painting"], strict=True)
    }
    for data in flows.values():
        data["nodes"]["unused"] = toy("toy")  # the package has to be named for its type
    nodes = {"bear": toy("toy"), "a": within("one.json", toy=ref("bear"))}
    outer = save(outer=flow(nodes, {"toy": "a"}), **flows, painting=PAINTING)
    assert nodegraph.run(outer).toy.name == "green bear"


def test_sinks_of_a_flow_within_run(save: Any, tmp_path: Path) -> None:
    inner = flow({"a": toy("toy"), "keep": toy("keep", toy=ref("a"))}, {})
    outer = save(outer=flow({"k": within("inner.json"), "b": toy("toy")}, {"b": "b"}), inner=inner)
    nodegraph.run(outer, out=tmp_path / "out")
    assert (tmp_path / "out" / "kept.txt").read_text() == "bear"


def test_the_record_holds_the_flows_within(save: Any, tmp_path: Path) -> None:
    names = ("a", "again", "idle")
    nodes = {name: within("inner.json", name="bear") for name in names}
    outer = save(outer=flow(nodes, {"toy": "a.toy", "more": "again.toy"}), inner=INNER)
    nodegraph.run(outer, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "toy.record.json").read_text())
    (digest, text), *more = record["flows"]["texts"].items()
    assert (text, more) == (INNER, [])
    assert record["flows"]["places"] == {"a": digest, "again": digest}
    assert record["packages"] == {"nodegraph-toys": "1.0"}


def test_settings_reach_the_inputs_of_a_flow_within(save: Any) -> None:
    nodes = {"a": within("inner.json", name="bear")}
    outer = save(outer=flow(nodes, {"toy": "a.toy"}), inner=INNER)
    assert nodegraph.run(outer, settings={"a.colour": "blue"}).toy.name == "blue bear"
    with pytest.raises(WorkflowError, match=r"^a\.colour: 'pink' is not one of"):
        nodegraph.run(outer, settings={"a.colour": "pink"})


def test_flows_that_multiply_are_refused(save: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodegraph.shelf.MOST_NODES", 5000)
    flows: dict[str, Any] = {}
    for level in range(8):
        nodes = {f"n{i}": within(f"level{level + 1}.json") for i in range(10)}
        flows[f"level{level}"] = flow(nodes, {f"o{i}": f"n{i}" for i in range(10)})
    flows["level8"] = flow({"n": toy("number")}, {"n": "n"})
    for level in range(7, -1, -1):
        inner = flows[f"level{level + 1}"]["outputs"]
        first = next(iter(inner))
        flows[f"level{level}"]["outputs"] = {f"o{i}": ref(f"n{i}.{first}") for i in range(10)}
    problems = nodegraph.check(save(**flows))
    assert any(problem.code == "too_large" for problem in problems)


def test_flows_that_double_at_each_file_are_refused_at_once(save: Any) -> None:
    """Sixteen small files would be 65,536 flows."""
    last = flow({"n": toy("number")}, {"n": "n"})
    twice = {
        f"f{number}": flow(
            {"a": within(f"f{number + 1}.json"), "b": within(f"f{number + 1}.json")}, {}
        )
        for number in range(14)
    }
    outer = save(**twice, f14=last)
    began = time.perf_counter()
    found = nodegraph.check(outer)
    assert "too_large" in {problem.code for problem in found}
    assert main(["graph", str(outer)]) == 0
    assert time.perf_counter() - began < 8
