"""Nodes and flows that run once for each item of lists."""

import json
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import NodeError
from tests.engine.flows import flow, ref, toy


def mapped(type_: str, *ports: str, **inputs: Any) -> dict[str, Any]:
    """A node of the toys package that is mapped over some of its inputs."""
    return {**toy(type_, **inputs), "map": list(ports)}


def test_a_node_runs_for_each_item_and_gives_a_list() -> None:
    nodes = {
        "toys": mapped("toy", "name", name=["bear", "duck"]),
        "red": mapped("paint", "toy", toy=ref("toys"), colour="blue"),
        "row": toy("row", toys=ref("red")),
    }
    assert nodegraph.run(flow(nodes, {"row": "row"})).row == "blue bear, blue duck"


def test_lists_of_one_length_go_together() -> None:
    nodes = {
        "toys": toy("several", names=["bear", "duck", "cat"]),
        "red": mapped("paint", "toy", "colour", toy=ref("toys"), colour=["red", "green", "blue"]),
        "row": toy("row", toys=ref("red")),
    }
    assert nodegraph.run(flow(nodes, {"row": "row"})).row == "red bear, green duck, blue cat"


def test_lists_of_unlike_length_are_an_error() -> None:
    nodes = {
        "toys": toy("several", names=["bear", "duck", "cat"]),
        "red": mapped("paint", "toy", "colour", toy=ref("toys"), colour=["red", "green"]),
    }
    with pytest.raises(
        NodeError,
        match=r"^red: is mapped over lists of unlike length: toy has 3 and colour has 2; make",
    ):
        nodegraph.run(flow(nodes, {"red": "red"}))


def test_an_empty_list_gives_an_empty_list() -> None:
    nodes = {
        "toys": toy("several", names=[]),
        "pairs": mapped("pair", "first", first=ref("toys"), second=ref("bear")),
        "bear": toy("toy"),
    }
    outputs = nodegraph.run(flow(nodes, {"one": "pairs.first", "two": "pairs.second"}))
    assert dict(outputs) == {"one": [], "two": []}


def test_a_list_of_links_can_be_mapped_over() -> None:
    nodes = {
        "a": toy("toy"),
        "b": toy("toy", name="duck"),
        "hats": mapped("dress", "toy", toy=[ref("a"), ref("b")], hat="bonnet"),
        "row": toy("row", toys=ref("hats")),
    }
    row = nodegraph.run(flow(nodes, {"row": "row"})).row
    assert row == "bear in a bonnet, duck in a bonnet"


def test_a_declared_list_can_be_mapped_over() -> None:
    declared = {"names": {"type": "array", "default": ["bear", "duck"]}}
    nodes = {
        "toys": mapped("toy", "name", name=ref("inputs.names")),
        "row": toy("row", toys=ref("toys")),
    }
    mapping = flow(nodes, {"row": "row"}, inputs=declared)
    assert nodegraph.run(mapping).row == "bear, duck"
    assert nodegraph.run(mapping, names=["cat"]).row == "cat"
    (problem,) = nodegraph.check(mapping, inputs={"names": ["cat", "7"]})
    assert problem.message.startswith("toys.name: '7' does not match")


def test_models_are_found_for_each_item(models: Path) -> None:
    nodes = {"loaded": mapped("load_model", "file", file=["base", "big"])}
    loaded = nodegraph.run(flow(nodes, {"loaded": "loaded"}), models=[models]).loaded
    assert [model.file for model in loaded] == ["base.safetensors", "big.safetensors"]
    nodes["loaded"]["inputs"]["file"] = ["base", "bog"]
    (problem,) = nodegraph.check(flow(nodes, {"loaded": "loaded"}), models=[models])
    assert (problem.code, "did you mean 'big'" in problem.message) == ("missing_model", True)


def test_a_flow_is_mapped_like_a_node(tmp_path: Path) -> None:
    inner = flow(
        {
            "red": toy("paint", toy=ref("inputs.toy"), colour=ref("inputs.colour")),
            "hat": toy("dress", toy=ref("red")),
        },
        {"red": "red", "hat": "hat"},
        inputs={"toy": {"type": "toy"}, "colour": {"type": "string", "default": "red"}},
    )
    (tmp_path / "inner.json").write_text(json.dumps(inner))
    nodes = {
        "toys": toy("several", names=["bear", "duck", "cat", "cow", "pig"]),
        "each": {
            "flow": "inner.json",
            "map": ["toy"],
            "inputs": {"toy": ref("toys"), "colour": "green"},
        },
        "row": toy("row", toys=ref("each.hat")),
    }
    (tmp_path / "outer.json").write_text(json.dumps(flow(nodes, {"row": "row"})))
    events: list[Any] = []
    row = nodegraph.run(tmp_path / "outer.json", on_event=events.append).row
    names = ["bear", "duck", "cat", "cow", "pig"]
    assert row == ", ".join(f"green {name} in a cap" for name in names)
    started = [e["node"] for e in events if e["event"] == "started"]
    assert "each[5]/hat" in started
    progress = [(e["done"], e["total"]) for e in events if e["event"] == "progress"]
    assert progress == [(done, 5) for done in range(1, 6)]


def test_a_failing_item_is_named() -> None:
    nodes = {"bad": mapped("fail", "words", words=["one", "two"])}
    with pytest.raises(NodeError, match=r"^bad\[1\] \(toys\.fail\): RuntimeError: one$"):
        nodegraph.run(flow(nodes, {"bad": "bad"}))


def test_a_sink_is_mapped(tmp_path: Path) -> None:
    nodes = {
        "toys": toy("several", names=["bear", "duck"]),
        "keep": mapped("keep", "toy", "name", toy=ref("toys"), name=["one", "two"]),
    }
    nodegraph.run(flow(nodes, {}), out=tmp_path)
    assert [(tmp_path / f"{n}.txt").read_text() for n in ("one", "two")] == ["bear", "duck"]


def test_many_items_take_little_room_at_once() -> None:
    nodes = {
        "numbers": mapped("number", "value", value=[7] * 3000),
        "sums": mapped("add", "a", a=ref("numbers"), b=2),
    }
    assert nodegraph.run(flow(nodes, {"sums": "sums"})).sums == [9] * 3000
