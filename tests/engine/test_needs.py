"""What a run will need, before it starts."""

import json
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cli import needing
from nodegraph.needs import free_memory
from tests.engine.flows import call, flow, ref, toy

NODES: dict[str, Any] = {
    "model": toy("load_model", file="base.safetensors"),
    "name": toy("model_name", model=ref("model")),
    "control": toy("load_control", file="edges-large.safetensors"),
    "bear": toy("toy"),
    "coat": toy("paint", toy=ref("bear")),
    "hat": toy("dress", toy=ref("coat")),
}


@pytest.fixture
def here(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with models."""
    monkeypatch.setenv("NODEGRAPH_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(capsys: pytest.CaptureFixture[str], data: dict[str, Any], *words: str) -> Any:
    Path("f.json").write_text(json.dumps(data))
    capsys.readouterr()
    assert call("plan", "f.json", "--json", *words) == 0
    return json.loads(capsys.readouterr().out)


def test_weights_are_counted_in_the_dtype_they_are_loaded_in(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = flow(NODES, {"name": "name", "control": "control", "hat": "hat"})
    for words, factor in ([], 2), (["--dtype", "bfloat16"], 1), (["--dtype", "float32"], 2):
        weights = plan(capsys, data, *words)["weights"]
        assert [w["node"] for w in weights] == ["model", "control"]
        assert [w["stored"]["F16"] for w in weights] == [10, 10_000]
        assert [w["bytes"] for w in weights] == [10 * factor + 3, 10_000 * factor + 3]


def test_a_model_is_gone_after_its_last_use(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = plan(capsys, flow(NODES, {"name": "name", "hat": "hat"}))
    assert told["fullest"]["weights"] == 23
    assert told["fullest"]["node"] == "name"
    told = plan(capsys, flow(NODES, {"name": "name", "control": "control", "hat": "hat"}))
    assert told["fullest"]["weights"] == 20_003  # not that of both
    assert told["nodes"] == 6


def test_values_are_those_of_the_last_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = flow({name: NODES[name] for name in ("bear", "coat", "hat")}, {"hat": "hat"})
    before = plan(capsys, data)
    assert (before["before"], before["fullest"]["values"]) == (0, 0)
    assert before["fullest"]["unknown"]
    assert call("run", "f.json") == 0
    events = [json.loads(line) for line in Path("out/f/journal.jsonl").read_text().splitlines()]
    sizes = {e["node"]: e["bytes"] for e in events if e["event"] == "finished"}
    after = plan(capsys, data)
    pairs = sizes["bear"] + sizes["coat"], sizes["coat"] + sizes["hat"]
    assert after["fullest"]["values"] == max(pairs) > 0
    assert after["fullest"]["unknown"] == []
    assert after["bytes"] == after["before"] >= 2**20
    with Path("out/f/journal.jsonl").open("a") as journal:
        journal.write('{"cut')
    assert plan(capsys, data)["before"] == after["before"]


def test_what_stands_within_counts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = {name: NODES[name] for name in ("model", "name")}
    Path("inner.json").write_text(json.dumps(flow(inner, {"name": "name"})))
    data = flow({"in": {"flow": "inner.json"}}, {"name": "in.name"})
    told = plan(capsys, data)
    assert [w["node"] for w in told["weights"]] == ["in/model"]
    assert told["fullest"]["weights"] == 23


def test_what_does_not_fit_is_said(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("f.json").write_text(json.dumps(flow(NODES, {"name": "name", "control": "control"})))
    monkeypatch.setattr(needing, "free_memory", lambda device: 20_002)
    assert call("plan", "f.json") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("free on cpu: does not fit")
    monkeypatch.setattr(needing, "free_memory", lambda device: 20_003)
    assert call("plan", "f.json") == 0


def test_what_is_free_is_a_part_of_what_there_is() -> None:
    free = free_memory("cpu")
    assert free is not None
    assert 2**20 < free < 2**50


def test_a_wrong_flow_and_a_device_that_is_not_there(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("f.json").write_text(json.dumps(flow({"a": toy("nothing")}, {"a": "a"})))
    assert call("plan", "f.json") == 2
    Path("f.json").write_text(json.dumps(flow(NODES, {"name": "name"})))
    capsys.readouterr()
    assert call("plan", "f.json", "--device", "cuda:99") in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1
