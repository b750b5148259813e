"""What a batch keeps of its rows: the ledger, the table, and what is taken for done."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph.ledger import Answer, Ledger
from nodegraph.rows import Row
from nodegraph.worker import Worker
from tests.engine.batches import answers, batch, table
from tests.engine.flows import call, flow, ref, toy


def test_a_ledger_with_anything_in_it_is_read(tmp_path: Path) -> None:
    good = Answer(1, "a", True, 0.5, "d", {}, {"x": ["a/x.png"]})
    with Ledger(tmp_path) as ledger:
        ledger.add(good)
    path = tmp_path / "batch.jsonl"
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        noise = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        cut = whole[: rng.randrange(len(whole))]
        path.write_bytes(whole + noise + b"\n" + b'{"row":1}\n[]\n' + cut)
        with Ledger(tmp_path) as ledger:
            assert ledger.state("a", "d") is True
            assert ledger.get("a") == good
            ledger.add(Answer(2, "b", False, 0.5, "d", {}, {}, ({"message": "no"},)))
            assert ledger.get("b").problems == ({"message": "no"},)
        with Ledger(tmp_path) as ledger:  # what was added behind a cut line is found again
            assert ledger.state("b", "d") is False
            assert ledger.highest == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"problems": [{}]},
        {"problems": [{"message": 1}]},
        {"problems": ["no"]},
        {"problems": {"message": "no"}},
        {"outputs": {"x": [1]}},
        {"outputs": {"x": {"y": 1}}},
        {"outputs": []},
        {"inputs": []},
        {"inputs": {"x": float("nan")}},
        {"inputs": {"x": json.loads("[" * 500 + "]" * 500)}},
        {"seconds": "long"},
        {"seconds": float("inf")},
        {"row": -1},
        {"row": 10**30},
        {"row": None},
        {"id": ["a"]},
    ],
)
def test_a_line_of_another_shape_is_none_of_a_ledger(
    here: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]
) -> None:
    (here / "rows.csv").write_text("id,number\na,-1\n")
    assert batch("rows.csv") == 1
    (told,) = answers(here / "out")
    with (here / "out/batch.jsonl").open("a") as ledger:
        ledger.write(json.dumps({**told, **changed}) + "\n")
    capsys.readouterr()
    assert batch("rows.csv", "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {**told, "before": True}


def test_a_row_is_done_while_all_its_files_are_there(here: Path) -> None:
    (here / "rows.csv").write_text("id\na\nb\n")
    assert batch("rows.csv") == 0
    for name in ("sum.json", "big.json", "other.record.json"):
        (here / "out/b" / name).unlink()
        assert batch("rows.csv") == 0
        assert (here / "out/b" / name).exists()
    assert [each["id"] for each in answers(here / "out")] == ["a", "b", "b", "b", "b"]


def test_a_row_is_done_while_what_its_nodes_wrote_is_there(here: Path) -> None:
    nodes: dict[str, Any] = {
        "scene": {"type": "blocks.scene", "inputs": {"size": 32}},
        "save": {"type": "image.save", "inputs": {"image": ref("scene.image"), "name": "Kept"}},
    }
    inputs = {"seed": {"type": "integer", "default": 0}}
    made = flow(nodes, {"image": "scene.image"}, inputs=inputs)
    (here / "flow.json").write_text(json.dumps(made))
    (here / "rows.csv").write_text("id\na\nb\n")
    assert batch("rows.csv") == 0
    assert answers(here / "out")[0]["saved"] == ["a/Kept.png"]
    assert batch("rows.csv") == 0
    (here / "out/b/Kept.png").unlink()
    assert batch("rows.csv") == 0
    assert (here / "out/b/Kept.png").exists()
    assert [each["id"] for each in answers(here / "out")] == ["a", "b", "b"]


def test_what_is_no_finite_number_is_told_in_json(here: Path) -> None:
    for word in ("NaN", "-Infinity", "1e999"):
        (here / "rows.csv").write_text(f"id,factor\n{word.strip('-')},{word}\n")
        assert batch("rows.csv") == 1
    rows: list[dict[str, Any]] = [{"id": "python", "factor": float("nan")}]
    assert not nodegraph.batch("flow.json", rows, out="out")[0].ok
    told = {
        each["id"]: each
        for line in (here / "out/batch.jsonl").read_text().splitlines()
        for each in [json.loads(line, parse_constant=pytest.fail)]
    }
    assert told["NaN"]["inputs"] == {"factor": "NaN"}
    assert "'NaN' is not a number" in told["NaN"]["problems"][0]["message"]
    assert told["python"]["inputs"] == {"factor": "NaN"}


def test_the_table_numbers_rows_as_the_file_does_now(here: Path) -> None:
    (here / "rows.csv").write_text("id,number\na,1\nb,2\nc,-3\n")
    assert batch("rows.csv") == 1
    (here / "rows.csv").write_text("id,number\nc,-3\nnew,4\nb,2\na,1\n")
    assert batch("rows.csv") == 1
    found = [(row["row"], row["id"]) for row in table(here / "out")]
    assert found == [("1", "c"), ("2", "new"), ("3", "b"), ("4", "a")]
    rows = [{"id": "b", "number": 2}, {"id": "a", "number": 1}]
    heard: list[int] = []
    nodegraph.batch("flow.json", rows, out="out", on_answer=lambda a, _: heard.append(a.row))
    assert heard == [1, 2]


def test_no_column_of_the_table_stands_twice(here: Path) -> None:
    names = ("row", "id", "ok", "error", "toy")
    nodes = {"add": toy("add", a=ref("inputs.error"), b=1)}
    inputs = {name: {"type": "integer", "default": 1} for name in names}
    outputs: dict[str, str] = dict.fromkeys((*names, "mine"), "add")
    (here / "flow.json").write_text(json.dumps(flow(nodes, outputs, inputs=inputs)))
    (here / "rows.csv").write_text("id,error,toy\n5,6,7\n")
    assert batch("rows.csv") == 0
    (row,) = table(here / "out")
    assert len((here / "out/rows.csv").read_text().partition("\n")[0].split(",")) == len(row)
    assert (row["row"], row["id"], row["ok"], row["error"]) == ("1", "000001", "yes", "")
    assert (row["inputs.id"], row["inputs.error"], row["inputs.toy"]) == ("5", "6", "7")
    assert (row["outputs.error"], row["outputs.toy"], row["mine"]) == ("7", "7", "7")


def test_a_link_in_the_place_of_the_ledger_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.csv").write_text("name\nbear\n")
    (here / "kept").write_text("kept")
    for name in ("batch.jsonl", "batch.lock", "rows.csv"):
        out = here / name.replace(".", "_")
        out.mkdir()
        (out / name).symlink_to(here / "kept")
        assert batch("rows.csv", out=str(out)) == (0 if name == "rows.csv" else 2)
        assert (here / "kept").read_text() == "kept"
    assert capsys.readouterr().err.count("cannot be written") == 2
    assert call("check", "flow.json") == 0


def test_a_table_that_cannot_be_written_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.csv").write_text("name\nbear\n")
    (here / "out/rows.csv").mkdir(parents=True)
    assert batch("rows.csv") == 1
    assert "out/rows.csv: Is a directory" in capsys.readouterr().err
    (here / "out/rows.csv").rmdir()
    assert batch("rows.csv") == 0
    assert len(answers(here / "out")) == 1


def test_a_row_that_was_stopped_on_its_way_to_other_values_is_not_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files may be those of the other values already."""
    do = Worker.do

    def killed(worker: Worker, row: Row, digest: str) -> Answer:
        do(worker, row, digest)
        raise KeyboardInterrupt

    for number, code in ((1, 0), (2, 130), (1, 0)):
        (here / "rows.csv").write_text(f"id,number\na,{number}\n")
        with monkeypatch.context() as patch:
            if code:
                patch.setattr(Worker, "do", killed)
            assert batch("rows.csv") == code
    assert (here / "out/a/sum.json").read_text() == "2\n"
    assert [each["ok"] for each in answers(here / "out")] == [True, False, True]
