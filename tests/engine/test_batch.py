"""Many rows: files of every form, what is skipped, failures, sweeps, a worker on standard input."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import WorkflowError
from nodegraph.batching import Job, Worker
from nodegraph.ledger import Answer, Ledger
from nodegraph.reading import load
from nodegraph.rows import read_rows
from nodegraph.sweeps import combinations, sweep
from nodegraph.types import PortType
from tests.engine.flows import call

FLOW: dict[str, Any] = {
    "nodegraph": 1,
    "inputs": {
        "name": {"type": "string", "default": "bear"},
        "colour": {"type": "string", "default": "red"},
        "shiny": {"type": "boolean", "default": False},
        "number": {"type": "integer", "default": 7, "minimum": 0},
        "factor": {"type": "number", "default": 2.0},
        "toy": {"type": "toy", "default": "other.toy"},
    },
    "nodes": {
        "bear": {"type": "toys.toy", "inputs": {"name": {"ref": "inputs.name"}}},
        "paint": {
            "type": "toys.paint",
            "inputs": {
                "toy": {"ref": "bear"},
                "colour": {"ref": "inputs.colour"},
                "shiny": {"ref": "inputs.shiny"},
            },
        },
        "other": {"type": "toys.paint", "inputs": {"toy": {"ref": "inputs.toy"}}},
        "sum": {"type": "toys.add", "inputs": {"a": {"ref": "inputs.number"}, "b": 1}},
        "big": {"type": "toys.scale", "inputs": {"x": 1.5, "factor": {"ref": "inputs.factor"}}},
    },
    "outputs": {
        "toy": {"ref": "paint"},
        "other": {"ref": "other"},
        "sum": {"ref": "sum"},
        "big": {"ref": "big"},
    },
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a flow, which is the current one."""
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    (tmp_path / "other.toy").write_text("dog")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "batch.jsonl").read_text().splitlines()]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def batch(data: str, *more: str, out: str = "out") -> int:
    return call("batch", "flow.json", "--data", data, "--out", out, *more)


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


def test_what_is_done_is_not_done_again(here: Path) -> None:
    (here / "rows.csv").write_text("id,name,toy\na,bear,mine.toy\nb,cat,\n")
    (here / "mine.toy").write_text("hare")
    assert batch("rows.csv") == 0
    before = (here / "out/rows.csv").read_bytes()
    assert batch("rows.csv") == 0
    assert len(answers(here / "out")) == 2
    assert (here / "out/rows.csv").read_bytes() == before
    (here / "out/b/toy.toy").unlink()  # an output that is gone is made again
    assert batch("rows.csv") == 0
    assert [each["id"] for each in answers(here / "out")] == ["a", "b", "b"]
    (here / "mine.toy").write_text("horse")  # a file that a row names has changed
    assert batch("rows.csv") == 0
    assert [each["id"] for each in answers(here / "out")][3:] == ["a"]
    (here / "rows.csv").write_text("id,name,toy\na,bear,mine.toy\nb,dog,\n")  # a row has
    assert batch("rows.csv") == 0
    assert [each["id"] for each in answers(here / "out")][4:] == ["b"]
    assert batch("rows.csv", "--set", "sum.b=2") == 0  # and now the flow has
    assert len(answers(here / "out")) == 7
    assert batch("rows.csv", "--set", "sum.b=2", "--all") == 0
    assert len(answers(here / "out")) == 9


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
    assert said[1] == "row 3 (000003): the line: not JSON at line 1, column 1: expecting value"
    assert said[2].startswith("row 4 (d): 'sum' is no input of the flow")
    assert "the id '../e' cannot name a folder" in said[3]
    assert "the id 'a' stands twice" in said[4]
    assert "is [1], no object" in said[5]
    assert "-1 is too small" in said[6]
    assert "the key 'id' stands twice" in said[7]
    told = json.loads((here / "out/b/error.json").read_text())
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
        in json.loads((here / "out/000001/error.json").read_text())["traceback"]
    )
    (here / "rows.csv").write_text("words,run\noh dear,false\n,false\n")
    assert batch("rows.csv") == 0
    assert not (here / "out/000001/error.json").exists()


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
        ("none.csv", None, "none.csv: No such file"),
        ("a.csv", "folder", "a.csv: Is a directory"),
    ],
)
def test_files_that_hold_no_rows(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, data: Any, words: str
) -> None:
    if data == "folder":
        (here / name).mkdir()
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
        ("r.csv", b"number\n1e999\n", "inputs.number: Infinity is not an integer"),
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


# The ledger


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


# Sweeps

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


# A worker on standard input


STARTED: list["subprocess.Popen[str]"] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End what a test has started, and close its streams."""
    yield
    while STARTED:
        with suppress(BrokenPipeError), STARTED.pop() as worker:
            worker.kill()


def start(*words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "nodegraph.cli", "batch", "flow.json", *words]
    pipe = subprocess.PIPE
    worker = subprocess.Popen(
        command, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=pipe
    )
    STARTED.append(worker)
    return worker


def test_a_worker_answers_a_line_for_a_line(here: Path) -> None:
    flow = json.loads(json.dumps(FLOW))
    flow["nodes"]["loud"] = {"type": "toys.shout", "inputs": {"words": {"ref": "inputs.name"}}}
    flow["outputs"]["loud"] = {"ref": "loud"}
    (here / "flow.json").write_text(json.dumps(flow))
    worker = start("--data", "-", "--out", "served")
    assert worker.stdin is not None
    assert worker.stdout is not None

    def ask(line: str) -> dict[str, Any]:
        """Send a request, and wait for its answer before the next one."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(line + "\n")
        worker.stdin.flush()
        answer: dict[str, Any] = json.loads(worker.stdout.readline())
        return answer

    first = ask('{"name": "cat"}')
    assert (first["id"], first["ok"], first["before"]) == ("000001", True, False)
    assert first["outputs"]["toy"] == ["000001/toy.toy", "000001/toy.record.json"]
    assert (here / "served/000001/toy.toy").exists()
    assert ask("nonsense")["ok"] is False
    named = ask('{"id": "mine", "nam": "x"}')
    assert (named["id"], named["ok"]) == ("mine", False)
    assert ask('{"id": "mine", "name": "x"}')["ok"] is True
    assert ask('{"id": "mine", "name": "x"}')["before"] is True
    assert ask('{"id": "mine", "name": "y"}')["before"] is False
    (here / "late.toy").write_text("late")
    assert ask('{"toy": "late.toy"}')["ok"] is True
    worker.stdin.close()
    assert worker.wait(20) == 1
    assert worker.stdout.read() == ""
    again = start("--data", "-", "--out", "served")
    out, _ = again.communicate('{"name": "dog"}\n', timeout=20)
    assert json.loads(out)["id"] == "000008"  # numbered on: nothing is overwritten
    assert again.returncode == 0


def test_a_worker_ends_with_a_signal_or_a_reader_that_went_away(here: Path) -> None:
    worker = start("--data", "-", "--out", "served")
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("{}\n")
    worker.stdin.flush()
    assert json.loads(worker.stdout.readline())["ok"]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 143
    assert worker.stderr is not None
    assert "Traceback" not in worker.stderr.read()
    worker = start("--data", "-", "--out", "served")
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdout.close()
    worker.stdin.write("{}\n{}\n")
    worker.stdin.close()
    assert worker.wait(20) == 1
    assert worker.stderr is not None
    assert "Traceback" not in worker.stderr.read()


@pytest.fixture
def many(here: Path) -> Path:
    """Rows that take a while."""
    flow = {
        "nodegraph": 1,
        "inputs": {"steps": {"type": "integer", "default": 5}},
        "nodes": {
            "count": {
                "type": "toys.count",
                "inputs": {"steps": {"ref": "inputs.steps"}, "seconds": 0.01},
            }
        },
        "outputs": {"count": {"ref": "count"}},
    }
    (here / "flow.json").write_text(json.dumps(flow))
    (here / "rows.csv").write_text("steps\n" + "".join(f"{n}\n" for n in range(1, 31)))
    return here


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_batch_that_is_stopped_goes_on(many: Path, number: signal.Signals) -> None:
    """After any number of stops the folder holds what an unbroken batch makes."""
    assert batch("rows.csv", "--quiet", out="quiet") == 0
    stops = 0
    for _ in range(3):
        worker = start("--data", "rows.csv", "--out", "out")
        seen = len(answers(many / "out")) if (many / "out/batch.jsonl").exists() else 0
        until = time.monotonic() + 20
        while worker.poll() is None and time.monotonic() < until:
            ledger = many / "out/batch.jsonl"
            if ledger.exists() and ledger.read_bytes().count(b"\n") >= seen + 5:
                worker.send_signal(number)
                break
            time.sleep(0.005)
        code = worker.wait(20)
        stops += code != 0
        assert code in ((130, 0) if number == signal.SIGINT else (-9, 0))
        assert worker.stderr is not None
        said = worker.stderr.read()
        assert "Traceback" not in said
        if code == 130:
            assert "of 30 rows are done; the same command goes on" in said
    assert stops
    assert batch("rows.csv", "--quiet") == 0
    names = [each["id"] for each in answers(many / "out")]
    assert sorted(names) == sorted(set(names))  # nothing finished was repeated
    for path in (many / "quiet").rglob("*"):
        if path.is_file() and path.suffix != ".jsonl" and path.name != "batch.lock":
            assert (many / "out" / path.relative_to(many / "quiet")).read_bytes() == (
                path.read_bytes()
            )


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
