"""Workflows of a hundred thousand nodes, and megabytes of text where a word belongs."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from tests.engine.flows import flow, ref, toy

LONG = "ä" * 2**20


def chain(length: int) -> dict[str, Any]:
    """Nodes that add one."""
    nodes: dict[str, Any] = {"n0": toy("number", value=0)}
    for index in range(1, length):
        nodes[f"n{index}"] = toy("add", a=ref(f"n{index - 1}"))
    return flow(nodes, {"sum": f"n{length - 1}"})


def fan(length: int) -> dict[str, Any]:
    """Nodes that all take from one, and a list of all."""
    nodes = {f"n{index}": toy("paint", toy=ref("bear")) for index in range(length)}
    row = toy("row", toys=[ref(name) for name in nodes])
    return flow({"bear": toy("toy"), **nodes, "row": row}, {"row": "row"})


@pytest.mark.parametrize("shape", [chain, fan])
def test_time_grows_no_faster_than_the_flow(shape: Any) -> None:
    def seconds(length: int) -> float:
        data = shape(length)
        began = time.process_time()
        nodegraph.run(data)
        return time.process_time() - began

    seconds(100)  # the manifest is read
    small = min(seconds(1_000) for _ in range(3))
    assert seconds(8_000) < 8 * 4 * small, "quadratic would be 64 times as much"


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_checked_and_run() -> None:
    assert nodegraph.run(chain(100_000)).sum == 99_999


PLACES: dict[str, dict[str, Any]] = {
    "an id": {"nodes": {LONG: toy("toy")}},
    "a type": {"nodes": {"a": {"type": LONG}}},
    "a package": {"nodes": {"a": {"type": "x" * 2**20 + ".y"}}},
    "a flow": {"nodes": {"a": {"flow": LONG}}},
    "an input": {"nodes": {"a": toy("toy", **{LONG: 1})}},
    "a number": {"nodes": {"a": toy("number", value=LONG)}},
    "a choice": {"nodes": {"a": toy("paint", toy=ref("a"), colour=LONG)}},
    "a path": {"nodes": {"a": toy("everything", file=LONG)}},
    "a model": {"nodes": {"a": toy("load_model", file=LONG)}},
    "a link": {"nodes": {"a": toy("paint", toy=ref(LONG))}},
    "a map": {"nodes": {"a": {**toy("toy"), "map": [LONG]}}},
    "a condition": {"nodes": {"a": {**toy("toy"), "when": LONG}}},
    "a type of an input": {"inputs": {"a": {"type": LONG}}, "nodes": {"a": toy("toy")}},
    "a requirement": {"requires": {"nodegraph": LONG}, "nodes": {"a": toy("toy")}},
    "an unknown key": {LONG: 1, "nodes": {"a": toy("toy")}},
    "a version": {"nodegraph": LONG, "nodes": {"a": toy("toy")}},
    "an output": {"nodes": {"a": toy("toy")}, "outputs": {LONG: ref("a")}},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_megabyte_of_text_is_a_short_line_soon(place: str, tmp_path: Path) -> None:
    data = {"nodegraph": 1, "outputs": {"out": ref("a")}, **PLACES[place]}
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(data))
    began = time.process_time()
    problems = nodegraph.check(path)
    assert time.process_time() - began < 5
    assert problems
    for problem in problems:
        assert len(problem.message) < 1000
        assert "\n" not in problem.message
