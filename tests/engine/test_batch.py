"""Many rows: files of every form, what is skipped, failures, the ledger."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import WorkflowError
from nodegraph.ledger import Answer, Ledger
from nodegraph.reading import load
from nodegraph.rows import read_rows
from nodegraph.worker import Job, Worker
from tests.engine.batches import answers, batch, table
from tests.engine.flows import call


def test_a_row_is_the_run_that_one_would_have_made(here: Path) -> None:
    """The reference is `nodegraph run`: the same files with the same bytes."""
    (here / "rows.csv").write_text("name,colour,shiny,number\nbear,blue,true,3\ncat,,,\n")
    assert batch("rows.csv") == 0
    assert call("run", "flow.json", "--colour=blue", "--shiny=true", "--number=3", "--out=a") == 0
    assert call("run", "flow.json", "--name=cat", "--out=b") == 0
    for row, alone in (("000001", "a"), ("000002", "b")):
        names = {"toy.toy", "toy.record.json", "other.toy", "other.record.json"}
        names |= {"sum.json", "big.json", "journal.jsonl"}
        assert {path.name for path in (here / "out" / row).iterdir()} == names
        for name in names - {"journal.jsonl"}:
            assert (here / "out" / row / name).read_bytes() == (here / alone / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,name,shiny,number\none,cat,true,3\ntwo,,,\n"),
        ("b.csv", "\ufeffid,name,shiny,number\r\none,cat,true,3\r\n\r\ntwo,,,\r\n"),
        ("c.tsv", "id\tname\tshiny\tnumber\none\tcat\ttrue\t3\ntwo\t\t\t\n"),
        ("d.jsonl", '{"id":"one","name":"cat","shiny":true,"number":3}\n\n{"id":"two"}'),
        ("E.NDJSON", '{"id":"one","name":"cat","shiny":true,"number":3.0}\n{"id":"two"}\n'),
    ],
)
def test_rows_of_every_form(here: Path, name: str, text: str) -> None:
    (here / name).write_text(text)
    assert batch(name) == 0
    first, second = table(here / "out")
    assert (first["id"], first["name"], first["sum"]) == ("one", "cat", "4")
    assert (second["id"], second["ok"], second["sum"]) == ("two", "yes", "8")
    assert (here / "out/one/toy.toy").read_text().split()[-1] == "cat"


def test_paths_in_a_file_of_rows_start_at_its_folder(here: Path) -> None:
    (here / "deep").mkdir()
    (here / "deep/mine.toy").write_text("hare")
    (here / "deep/rows.csv").write_text("toy\nmine.toy\nother.toy\n")
    assert batch("deep/rows.csv") == 1
    assert (here / "out/000001/other.toy").read_text().split()[-1] == "hare"
    assert "no file 'other.toy'" in table(here / "out")[1]["error"]


def done(folder: Path) -> list[str]:
    """The rows that were run, without what is told before a row that was done runs again."""
    return [each["id"] for each in answers(folder) if each["ok"]]


def test_what_is_done_is_not_done_again(here: Path) -> None:
    (here / "rows.csv").write_text("id,name,toy\na,bear,mine.toy\nb,cat,\n")
    (here / "mine.toy").write_text("hare")
    assert batch("rows.csv") == 0
    before = (here / "out/rows.csv").read_bytes()
    assert batch("rows.csv") == 0
    assert done(here / "out") == ["a", "b"]
    assert (here / "out/rows.csv").read_bytes() == before
    (here / "out/b/toy.toy").unlink()  # an output that is gone is made again
    assert batch("rows.csv") == 0
    assert done(here / "out") == ["a", "b", "b"]
    (here / "mine.toy").write_text("horse")  # a file that a row names has changed
    assert batch("rows.csv") == 0
    assert done(here / "out")[3:] == ["a"]
    (here / "rows.csv").write_text("id,name,toy\na,bear,mine.toy\nb,dog,\n")  # a row has
    assert batch("rows.csv") == 0
    assert done(here / "out")[4:] == ["b"]
    assert batch("rows.csv", "--set", "sum.b=2") == 0  # and now the flow has
    assert len(done(here / "out")) == 7
    assert batch("rows.csv", "--set", "sum.b=2", "--all") == 0
    assert len(done(here / "out")) == 9


def test_rows_that_fail_are_told_of_and_run_again_on_request(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.jsonl").write_text(
        '{"id": "a"}\n{"id": "b", "colour": "pink"}\nnot json\n{"id": "d", "sum": 1}\n'
        '{"id": "../e"}\n{"id": "a"}\n[1]\n{"id": "h", "number": -1}\n{"id":"i","id":"j"}\n'
    )
    assert batch("rows.jsonl") == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 9
    assert said[-1] == "9 rows run, 8 failed"
    assert said[0].startswith(
        "row 2 (b): paint.colour: 'pink' is not one of 'red', 'green', 'blue'"
    )
    assert said[1] == "row 3 (#3): the line: not JSON at line 1, column 1: expecting value"
    assert said[2].startswith("row 4 (d): 'sum' is no input of the flow")
    assert "the id '../e' cannot name a folder" in said[3]
    assert "the id 'a' stands twice" in said[4]
    assert "is [1], no object" in said[5]
    assert "-1 is too small" in said[6]
    assert "the key 'id' stands twice" in said[7]
    told = json.loads((here / "out/b/row-error.json").read_text())
    assert told["problems"][0]["code"] == "wrong_type"
    assert told["inputs"] == {"colour": "pink"}
    assert sorted(p.name for p in here.iterdir()) == [
        "flow.json", "other.toy", "out", "rows.jsonl",
    ]  # fmt: skip
    assert batch("rows.jsonl") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "9 from before, 8 failed"
    assert batch("rows.jsonl", "--retry") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "8 rows run, 1 from before, 8 failed"


def test_a_node_that_fails_hurts_its_row_alone(here: Path) -> None:
    flow = {
        "nodegraph": 1,
        "inputs": {"words": {"type": "string", "default": ""}, "run": {"type": "boolean"}},
        "nodes": {
            "one": {
                "type": "toys.fail",
                "inputs": {"words": {"ref": "inputs.words"}},
                "when": {"ref": "inputs.run"},
            },
            "two": {"type": "toys.number"},
        },
        "outputs": {"one": {"ref": "one"}, "two": {"ref": "two"}},
    }
    (here / "flow.json").write_text(json.dumps(flow))
    (here / "rows.csv").write_text("words,run\noh dear,true\n,false\n")
    assert batch("rows.csv") == 1
    first, second = table(here / "out")
    assert first["error"] == "one (toys.fail): RuntimeError: oh dear"
    assert second["two"] == "7"
    assert (
        "RuntimeError: oh dear"
        in json.loads((here / "out/000001/row-error.json").read_text())["traceback"]
    )
    (here / "rows.csv").write_text("words,run\noh dear,false\n,false\n")
    assert batch("rows.csv") == 0
    assert not (here / "out/000001/row-error.json").exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("rows.txt", b"name\nbear\n", "not known to hold rows; end its name with one of .csv"),
        ("rows.csv", b"", "has no header"),
        ("rows.csv", b"name\n", "has no rows"),
        ("rows.jsonl", b"\n\n", "has no rows"),
        ("rows.csv", b"name,nam\nbear,x\n", "column 2, 'nam', is no input of the flow; did you"),
        ("rows.csv", b"name,name\nbear,x\n", "column 'name' stands twice"),
        ("rows.csv", b"name,\nbear,x\n", "column 2, '', is no input"),
        ("rows.csv", b'"name\n', "the header is not in form"),
        ("rows.csv", b"x" * (17 << 20), "the header is not in form: longer than 16 MiB"),
        ("rows.csv", b"n," * 1_000_000 + b"\n", "column 'n' stands twice"),
        ("rows.csv", "name\nbear\n".encode("utf-16"), "is not UTF-8; save the file as"),
        ("rows.csv", "name\nbear\n".encode("utf-16-le"), "is not UTF-8; save the file as"),
        ("none.csv", None, "none.csv: No such file"),
        ("a.csv", "folder", "a.csv: Is a directory"),
        ("a.csv", "pipe", "a.csv: a device or pipe; name a file, or give lines of JSON to"),
        ("/dev/zero", None, "/dev/zero: a device or pipe"),
    ],
)
def test_files_that_hold_no_rows(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, data: Any, words: str
) -> None:
    if data == "folder":
        (here / name).mkdir()
    elif data == "pipe":
        os.mkfifo(here / name)
    elif data is not None:
        (here / name).write_bytes(data)
    assert batch(name) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert words in said[0]
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("r.csv", b"name,number\nbear\n", "has 1 cells, the header 2"),
        ("r.csv", b"name\n\xff\xfe\n", "'name' is not UTF-8"),
        ("r.csv", b'name\n"be"ar\n', "is not in form"),
        ("r.csv", b"name\n" + b"x" * 200_000 + b"\n", "is not in form: field larger"),
        ("r.csv", b"name\n" + b"x," * (9 << 20) + b"\n", "is not in form: longer than 16 MiB"),
        ("r.csv", b"name\n" + b"x," * 100_000 + b"\n", "has 100001 cells, the header 1"),
        ("r.csv", b"number\nNaN\n", "'NaN' is not an integer"),
        ("r.csv", b"number\n1e999\n", "inputs.number: '1e999' is not an integer"),
        ("r.jsonl", b'{"name": "\xff"}\n', "is not UTF-8"),
        ("r.jsonl", b"[" * 100_000 + b"\n", "nested deeper"),
        ("r.jsonl", b'{"number": NaN}\n', "NaN"),
        ("r.jsonl", b'{"number": null}\n', "is not an integer"),
        ("r.jsonl", b'{"id": 1.5}\n', "cannot name a folder"),
        ("r.jsonl", b'{"id": "a/b"}\n', "cannot name a folder"),
        ("r.jsonl", b'{"id": ".."}\n', "cannot name a folder"),
        ("r.jsonl", b'{"id": "' + b"x" * 101 + b'"}\n', "cannot name a folder"),
        ("r.jsonl", b'{"name": "' + b"x" * (17 << 20) + b'"}\n', "is longer than 16 MiB"),
    ],
)
def test_rows_that_are_not_in_form_fail_and_the_next_one_runs(
    here: Path, name: str, data: bytes, words: str
) -> None:
    sound = {b"name,number": b"bear,1", b"name": b"bear", b"number": b"3"}
    (here / name).write_bytes(data + sound.get(data.partition(b"\n")[0], b"{}") + b"\n")
    assert batch(name) == 1
    first, second = answers(here / "out")
    assert words in first["problems"][0]["message"]
    assert len(first["problems"][0]["message"]) < 1000
    assert second["ok"]


def test_a_flow_that_is_wrong_is_told_once_and_runs_no_row(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.csv").write_text("name\nbear\ncat\n")
    assert batch("rows.csv", "--set", "sum.c=1") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (here / "out/000001").exists()


def test_a_worker_needs_a_standard_input(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert batch("-") == 2
    assert capsys.readouterr().err == "nodegraph: --data - needs a standard input\n"


def test_usage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.csv").write_text("name\nbear\n")
    for words in (
        ["--on", "mars"],
        ["--workers", "2"],
        ["--workers", "0"],
        ["--retry", "--all"],
    ):
        assert batch("rows.csv", *words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert batch("-", "--on", "ray") == 2
    assert call("batch", "flow.json") == 2
    (here / "file").write_text("")
    assert batch("rows.csv", out="file/out") == 2
    assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]


def test_two_batches_do_not_share_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.csv").write_text("name\nbear\n")
    with Ledger(here / "out"):
        assert batch("rows.csv") == 2
    assert "another batch is at work in this folder" in capsys.readouterr().err
    assert batch("rows.csv") == 0


def test_json_answers_are_those_of_the_ledger(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.csv").write_text("name\nbear\nx1\n")
    assert batch("rows.csv", "--json") == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each.pop("before") for each in said] == [False, False]
    assert said == answers(here / "out")


# As a library


def test_batch_from_python(here: Path) -> None:
    heard: list[tuple[str, bool]] = []
    rows: list[dict[str, Any]] = [{"name": "cat"}, {"id": "x", "number": "three"}, {"number": 4}]

    def hear(answer: Answer, before: bool) -> None:
        heard.append((answer.id, before))

    found = nodegraph.batch("flow.json", rows, out="out", on_answer=hear)
    assert [each.ok for each in found] == [True, False, True]
    assert found[2].outputs["sum"] == 5
    assert found[0].outputs["toy"] == ["000001/toy.toy", "000001/toy.record.json"]
    assert heard == [("000001", False), ("x", False), ("000003", False)]
    nodegraph.batch("flow.json", rows, out="out", on_answer=hear)
    assert [before for _, before in heard[3:]] == [True, True, True]
    odd: list[Any] = [[1], {1: 2}, {"name": Path("a/b")}]
    assert [each.ok for each in nodegraph.batch("flow.json", odd, out="odd")] == [False] * 3
    (here / "bad.csv").write_text("nam\nx\n")
    with pytest.raises(WorkflowError, match="no input of the flow"):
        nodegraph.batch("flow.json", "bad.csv", out="out")


def test_what_a_worker_learns_is_kept_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row writes what the next one writes again: that would cost the square of the rows."""
    flow = load(here / "flow.json")
    worker = Worker(Job(flow, here / "out", store=False))
    kept: list[int] = []
    monkeypatch.setattr(type(worker.session.digests), "remember", lambda self: kept.append(1))
    (here / "rows.csv").write_text("number\n" + "".join(f"{n}\n" for n in range(20)))
    for row in read_rows(here / "rows.csv", flow):
        assert worker.do(row, "").ok
    assert not kept
    worker.close()
    assert kept == [1]
