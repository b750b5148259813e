"""Nodes that run only when something is true, and what that means for those that follow."""

import json
from pathlib import Path
from typing import Any

import nodegraph
from tests.engine.flows import flow, ref, toy


def unless_short(name: str) -> dict[str, Any]:
    """A flow that paints a toy when its name is long, and dresses whatever comes."""
    return {
        "toy": toy("toy", name=name),
        "long": toy("is_long", toy=ref("toy")),
        "red": {**toy("paint", toy=ref("toy")), "when": ref("long")},
        "shiny": toy("paint", toy=ref("red"), shiny=True),
        "hat": toy("dress", toy=ref("red")),
    }


OUTPUTS = {"toy": "toy", "shiny": "shiny", "hat": "hat"}


def test_a_node_runs_when_its_condition_is_true() -> None:
    outputs = nodegraph.run(flow(unless_short("elephant"), OUTPUTS))
    assert outputs.shiny.name == "shiny red red elephant"


def test_a_skipped_node_skips_what_needs_it_and_not_what_has_a_default() -> None:
    events: list[Any] = []
    outputs = nodegraph.run(flow(unless_short("cat"), OUTPUTS), on_event=events.append)
    assert {name: toy.name for name, toy in outputs.items()} == {
        "toy": "cat",
        "hat": "nothing in a cap",
    }
    skipped = {e["node"]: e["because"] for e in events if e["event"] == "skipped"}
    assert skipped == {"red": "long is false", "shiny": "red was skipped"}


def test_a_skipped_output_is_not_written(tmp_path: Path) -> None:
    outputs = nodegraph.run(flow(unless_short("cat"), OUTPUTS), out=tmp_path)
    assert sorted(written.name for written in outputs.written if written.path.suffix == ".toy") == [  # type: ignore[union-attr]
        "hat",
        "toy",
    ]


def test_a_condition_may_be_written_down_or_declared() -> None:
    declared = {"painted": {"type": "boolean", "default": False}}
    nodes = {
        "toy": toy("toy"),
        "red": {**toy("paint", toy=ref("toy")), "when": ref("inputs.painted")},
        "hat": {**toy("dress", toy=ref("toy")), "when": False},
    }
    either = flow(nodes, {"red": "red", "hat": "hat"}, inputs=declared)
    assert list(nodegraph.run(either)) == []
    assert list(nodegraph.run(either, painted=True)) == ["red"]


def test_what_only_a_skipped_node_takes_is_made_all_the_same_and_dropped() -> None:
    nodes = {
        "toy": toy("toy"),
        "red": {**toy("paint", toy=ref("toy")), "when": False},
    }
    assert dict(nodegraph.run(flow(nodes, {"red": "red"}))) == {}


def test_a_long_chain_after_a_skipped_node_needs_no_recursion() -> None:
    nodes: dict[str, Any] = {"n0": {**toy("number"), "when": False}}
    for index in range(1, 5000):
        nodes[f"n{index}"] = toy("add", a=ref(f"n{index - 1}"))
    assert dict(nodegraph.run(flow(nodes, {"sum": "n4999"}))) == {}


def test_a_list_with_a_skipped_item_skips_its_node() -> None:
    nodes = {
        "a": toy("toy"),
        "b": {**toy("toy", name="duck"), "when": False},
        "row": toy("row", toys=[ref("a"), ref("b")]),
    }
    assert dict(nodegraph.run(flow(nodes, {"row": "row"}))) == {}


def test_a_flow_within_is_skipped_whole(tmp_path: Path) -> None:
    inner = flow({"bad": toy("fail")}, {"bad": "bad"})
    (tmp_path / "inner.json").write_text(json.dumps(inner))
    nodes = {"a": {"flow": "inner.json", "when": False}, "b": toy("toy")}
    (tmp_path / "outer.json").write_text(json.dumps(flow(nodes, {"a": "a", "b": "b"})))
    assert list(nodegraph.run(tmp_path / "outer.json")) == ["b"]


def test_a_mapped_flow_leaves_out_the_items_that_it_skips(tmp_path: Path) -> None:
    nodes = {
        "long": toy("is_long", toy=ref("inputs.toy")),
        "red": {**toy("paint", toy=ref("inputs.toy")), "when": ref("long")},
    }
    inner = flow(nodes, {"red": "red", "long": "long"}, inputs={"toy": {"type": "toy"}})
    (tmp_path / "inner.json").write_text(json.dumps(inner))
    outer = flow(
        {
            "toys": toy("several", names=["cat", "elephant", "bear", "giraffe"]),
            "each": {"flow": "inner.json", "map": ["toy"], "inputs": {"toy": ref("toys")}},
        },
        {"red": "each.red", "long": "each.long"},
    )
    (tmp_path / "outer.json").write_text(json.dumps(outer))
    outputs = nodegraph.run(tmp_path / "outer.json")
    assert [toy.name for toy in outputs.red] == ["red elephant", "red giraffe"]
    assert outputs.long == [False, True, False, True]


def test_a_default_of_a_flow_within_takes_the_place_of_what_was_skipped(tmp_path: Path) -> None:
    inner = flow(
        {"a": toy("add", a=ref("inputs.n"), b=100)},
        {"sum": "a"},
        inputs={"n": {"type": "integer", "default": 5}},
    )
    (tmp_path / "inner.json").write_text(json.dumps(inner))
    nodes = {
        "n": {**toy("number", value=1), "when": False},
        "a": {"flow": "inner.json", "inputs": {"n": ref("n")}},
    }
    (tmp_path / "outer.json").write_text(json.dumps(flow(nodes, {"sum": "a"})))
    assert nodegraph.run(tmp_path / "outer.json").sum == 105
