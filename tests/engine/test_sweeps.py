"""Flags with many values: their forms, their bounds, the product of them."""

import json
from pathlib import Path

import pytest

from nodegraph import WorkflowError
from nodegraph.cli import batching
from nodegraph.ledger import Answer
from nodegraph.rows import Row
from nodegraph.sweeps import combinations, sweep
from nodegraph.types import PortType
from nodegraph.worker import Worker
from tests.engine.batches import answers, table
from tests.engine.flows import call, flow, ref

NUMBER, INTEGER = PortType("number"), PortType("integer")


@pytest.mark.parametrize(
    ("text", "type_", "values"),
    [
        ("1..4", INTEGER, (1, 2, 3, 4)),
        ("0.4,0.8", NUMBER, (0.4, 0.8)),
        ("0..1..0.25", NUMBER, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("0..0.3..0.1", NUMBER, (0.0, 0.1, 0.2, 0.3)),
        ("1..3,7,7", INTEGER, (1, 2, 3, 7)),
        ("-2..2..2", INTEGER, (-2, 0, 2)),
        ("5..5", INTEGER, (5,)),
        ("1e30..1e30", INTEGER, (10**30,)),
        ("1e2..3e2..1e2", INTEGER, (100, 200, 300)),
        ("7", INTEGER, ()),
        ("0.4", NUMBER, ()),
        ("1..4", PortType("string"), ()),
        ("a,b", PortType("choice", choices=("a", "b")), ()),
        ("[1,2]", PortType("list"), ()),
    ],
)
def test_sweeps(text: str, type_: PortType, values: tuple[float, ...]) -> None:
    assert sweep("x", text, type_) == values


@pytest.mark.parametrize(
    ("text", "type_", "words"),
    [
        ("4..1", INTEGER, "does not rise"),
        ("1..2..0", NUMBER, "does not rise"),
        ("0.1..0.5", NUMBER, "says no step; write --x 0.1..0.5..0.1"),
        ("1..a", INTEGER, "'1..a' is no range; write 1..8"),
        ("1,,2", INTEGER, "'' is no range"),
        ("1...4", INTEGER, "is no range"),
        ("0..1e9", NUMBER, "more than 10000"),
        ("0..1e300..1e-300", NUMBER, "more than 10000"),
        ("1e99..2e99", NUMBER, "more than 10000"),
        ("0.5,1", INTEGER, "0.5 is not an integer"),
        ("0..3", PortType("integer", limits={"minimum": 1}), "0 is too small"),
    ],
)
def test_sweeps_that_are_not_in_form(text: str, type_: PortType, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        sweep("x", text, type_)


def test_a_sweep_is_bounded_as_a_whole() -> None:
    with pytest.raises(WorkflowError, match="more than 10000 combinations"):
        combinations({"a": range(101), "b": range(100)})
    assert len(combinations({"a": range(100), "b": range(100)})) == 10_000


def test_a_sweep_runs_the_product(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", "flow.json", "--number", "1..2", "--input", "factor=0.5,1.5", "--name", "cat")
    assert call(*words, "--out", "out") == 0
    assert capsys.readouterr().out.splitlines() == [str(here / "out/rows.csv")]  # no pictures
    found = [(row["id"], row["sum"], row["big"]) for row in table(here / "out")]
    assert found == [
        ("number_1_factor_0.5", "2", "0.75"),
        ("number_1_factor_1.5", "2", "2.25"),
        ("number_2_factor_0.5", "3", "0.75"),
        ("number_2_factor_1.5", "3", "2.25"),
    ]
    assert call(*words, "--out", "out") == 0
    assert len(answers(here / "out")) == 4


def test_a_sweep_outside_a_range_runs_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", "flow.json", "--number=-1..3", "--out", "out") == 2
    assert "-1 is too small" in capsys.readouterr().err
    assert call("check", "flow.json", "--number", "1..3") == 2
    assert not (here / "out").exists()


def test_a_sweep_leaves_what_a_run_of_the_flow_has_made(here: Path) -> None:
    scene = {"type": "blocks.scene", "inputs": {"seed": ref("inputs.seed"), "size": 32}}
    inputs = {"seed": {"type": "integer"}}
    made = flow({"scene": scene}, {"sheet": "scene.image"}, inputs=inputs)
    (here / "flow.json").write_text(json.dumps(made))
    assert call("run", "flow.json", "--seed", "1", "--out", "out") == 0
    before = (here / "out/sheet.png").read_bytes()
    assert call("run", "flow.json", "--seed", "1..2", "--out", "out") == 0
    assert (here / "out/sheet.png").read_bytes() == before
    assert (here / "out/contact-sheet.png").exists()


def test_the_sheet_of_a_sweep_that_was_stopped_has_no_older_pictures(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = {"type": "blocks.scene", "inputs": {"seed": ref("inputs.seed"), "size": 32}}
    inputs = {"seed": {"type": "integer"}}
    made = flow({"scene": scene}, {"image": "scene.image"}, inputs=inputs)
    (here / "flow.json").write_text(json.dumps(made))
    assert call("run", "flow.json", "--seed", "1..2", "--out", "out") == 0
    laid: list[list[Path | None]] = []
    monkeypatch.setattr(batching, "write_sheet", lambda path, found, *_: laid.append(found))
    do = Worker.do

    def stopped(worker: Worker, row: Row, digest: str) -> Answer:
        if row.number == 2:
            raise KeyboardInterrupt
        return do(worker, row, digest)

    monkeypatch.setattr(Worker, "do", stopped)
    words = ("run", "flow.json", "--seed", "1..2", "--set", "scene.size=48", "--out", "out")
    assert call(*words) == 130
    assert laid == [[here / "out/seed_1/image.png", None]]
