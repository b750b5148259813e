"""Nodes on the CPU run beside each other and beside the one on the device."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import Cancelled, NodeError
from tests.engine.flows import flow, ref, toy


def test_nodes_on_the_cpu_run_at_once() -> None:
    outputs = nodegraph.run(flow({"a": toy("meet"), "b": toy("meet")}, {"a": "a", "b": "b"}))
    assert outputs.a != outputs.b


def test_items_of_a_map_run_at_once() -> None:
    nodes = {"a": {**toy("meet", seconds=[10.0, 9.0]), "map": ["seconds"]}}
    one, two = nodegraph.run(flow(nodes, {"a": "a"})).a
    assert one != two


def test_a_node_on_the_cpu_runs_beside_one_on_the_device(tmp_path: Path) -> None:
    place = str(tmp_path / "there")
    nodes = {
        "device": toy("wait_for", path=str(tmp_path)),
        "toy": toy("toy"),
        "cpu": toy("write", toy=ref("toy"), to=place),
        "also": toy("beside", seconds=0.05),
        "late": toy("wait_for", path=str(tmp_path)),
    }
    work = flow(nodes, {"device": "device", "also": "also", "late": "late"})
    outputs = nodegraph.run(work, allow=[tmp_path])
    here = threading.current_thread().name
    assert (outputs.device, outputs.late) == (here, here)
    assert outputs.also != here
    assert Path(place).read_text() == "bear"


def test_a_chain_on_the_cpu_needs_no_thread() -> None:
    nodes = {"a": toy("beside"), "b": {**toy("beside"), "when": ref("yes")}, "yes": toy("is_long")}
    nodes["yes"] = toy("is_long", toy=ref("toy"), least=1)
    nodes["toy"] = toy("toy")
    assert nodegraph.run(flow({"a": toy("beside")}, {"a": "a"})).a == "MainThread"


def test_a_failure_beside_others_ends_the_run_and_leaves_no_thread() -> None:
    nodes = {"a": toy("beside", seconds=0.5), "b": toy("beside", seconds=0.5), "bad": toy("fail")}
    before = threading.active_count()
    with pytest.raises(NodeError, match="no luck"):
        nodegraph.run(flow(nodes, {name: name for name in nodes}))
    assert threading.active_count() == before


def test_cancelling_reaches_the_threads() -> None:
    nodes = {"a": toy("beside", seconds=30), "b": toy("beside", seconds=30)}
    began = time.monotonic()
    with pytest.raises(Cancelled):
        nodegraph.run(
            flow(nodes, {"a": "a", "b": "b"}), cancelled=lambda: time.monotonic() > began + 0.3
        )
    assert time.monotonic() < began + 20


def test_events_of_threads_are_told_one_at_a_time(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(40)]
    nodegraph.run(
        flow({name: toy("beside") for name in names}, {name: name for name in names}),
        out=tmp_path,
    )
    events = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    finished = [e["node"] for e in events if e["event"] == "finished"]
    assert sorted(finished) == sorted(names)


def test_notes_reach_the_record_of_outputs_and_of_what_follows(tmp_path: Path) -> None:
    nodes: dict[str, Any] = {
        "bear": toy("toy"),
        "one": toy("remark", toy=ref("bear"), said="first"),
        "before": toy("recorded", toy=ref("bear"), name="before"),
        "after": toy("recorded", toy=ref("one"), name="after"),
        "two": toy("remark", toy=ref("one"), said="second"),
    }
    nodegraph.run(flow(nodes, {"toy": "two"}), out=tmp_path)
    records = {
        name: json.loads((tmp_path / f"{name}.json").read_text()).get("notes")
        for name in ("before", "after", "toy.record")
    }
    assert records == {
        "before": None,
        "after": {"one": {"said": "first"}},
        "toy.record": {"one": {"said": "first"}, "two": {"said": "second"}},
    }
    events = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    notes = [(e["node"], e["about"], e["value"]) for e in events if e["event"] == "note"]
    assert notes == [("one", "said", "first"), ("two", "said", "second")]
