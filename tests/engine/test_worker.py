"""Batches in processes of their own: a worker on standard input, and ones that are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.engine.batches import FLOW, answers, batch

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
    other = ask('{"id": "mine", "name": "y"}')  # what was answered is not overwritten
    assert (other["id"], other["ok"]) == ("#6", False)
    assert (
        "'mine' has a result from other values; choose another" in other["problems"][0]["message"]
    )
    assert ask('{"id": "MINE", "nam": "x"}')["id"] == "#7"
    assert (here / "served/mine/toy.toy").read_text().split()[-1] == "x"
    assert ask('{"id": "000009", "name": "z"}')["ok"] is True
    (here / "late.toy").write_text("late")
    late = ask('{"toy": "late.toy"}')
    assert (late["id"], late["row"], late["ok"]) == ("000010", 10, True)
    worker.stdin.close()
    assert worker.wait(20) == 1
    assert worker.stdout.read() == ""
    again = start("--data", "-", "--out", "served")
    out, _ = again.communicate('{"name": "dog"}\n', timeout=20)
    assert json.loads(out)["id"] == "000011"  # numbered on: nothing is overwritten
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


TOLD = """
import os, signal, sys
from nodegraph.cli import main, report

def tell(*_):
    number = int(sys.argv[1])
    try:
        os.kill(os.getpid(), number)
    finally:
        if sys.argv[2:]:
            os.kill(os.getpid(), number)

report.tell = tell
sys.exit(main(["run", "none.json"]))
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("twice", [[], ["twice"]])
def test_signals_while_an_error_is_told_end_with_their_code(
    number: signal.Signals, twice: list[str]
) -> None:
    words = [sys.executable, "-c", TOLD, str(int(number)), *twice]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 128 + number
    assert b"Traceback" not in done.stderr


def test_a_hangup_that_the_shell_lets_pass_ends_no_batch(many: Path) -> None:
    """`nohup nodegraph batch ...` is started with the signal ignored."""
    (many / "rows.csv").write_text("steps\n5\n6\n7\n8\n9\n")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        worker = start("--data", "rows.csv", "--out", "out")
    finally:
        signal.signal(signal.SIGHUP, before)
    while not (many / "out/000001").exists():
        assert worker.poll() is None
        time.sleep(0.005)
    worker.send_signal(signal.SIGHUP)
    assert worker.wait(60) == 0


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
