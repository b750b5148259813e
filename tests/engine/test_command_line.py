"""The command line: flags, exit codes, one line for an error, and what it does not import."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.engine.flows import call

PAINT: dict[str, Any] = {
    "nodegraph": 1,
    "title": "A painted toy",
    "inputs": {
        "colour": {"type": "string", "default": "red", "description": "its colour"},
        "shiny": {"type": "boolean", "default": False},
        "out": {"type": "string", "default": "bear"},
    },
    "nodes": {
        "bear": {"type": "toys.toy", "inputs": {"name": {"ref": "inputs.out"}}},
        "paint": {
            "type": "toys.paint",
            "inputs": {
                "toy": {"ref": "bear"},
                "colour": {"ref": "inputs.colour"},
                "shiny": {"ref": "inputs.shiny"},
            },
        },
    },
    "outputs": {"toy": {"ref": "paint"}},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a flow, which is the current one."""
    (tmp_path / "paint.json").write_text(json.dumps(PAINT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def toy_in(folder: Path) -> str:
    return (folder / "toy.toy").read_text().strip()


def test_run_says_where_its_outputs_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "paint.json") == 0
    assert toy_in(here / "out" / "paint") == "red bear"
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "out/paint/toy.toy (toy red bear)"
    assert [line.split()[:2] for line in said.err.splitlines()] == [
        ["[1/2]", "bear"],
        ["[2/2]", "paint"],
    ]


def test_declared_inputs_are_flags(here: Path) -> None:
    assert call("run", "paint.json", "--colour", "green", "--shiny=true", "--out", "o") == 0
    assert toy_in(here / "o") == "shiny green bear"


def test_an_input_named_like_a_flag_is_given_by_name(here: Path) -> None:
    assert call("run", "paint.json", "--input", "out=duck", "--out", "o") == 0
    assert toy_in(here / "o") == "red duck"


def test_set_replaces_a_nodes_input(here: Path) -> None:
    words = ["--set", "paint.shiny=true", "--set", "bear.name=cat", "--out", "o"]
    assert call("run", "paint.json", *words) == 0
    assert toy_in(here / "o") == "shiny red cat"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--colour", "pink"], "'pink' is not one of 'red', 'green', 'blue' (from inputs.colour)"),
        (["--shiny", "7"], "inputs.shiny: 7 is not true or false"),
        (["--colou", "red"], "unknown argument '--colou'; did you mean '--colour'?"),
        (["--set", "paint.shiny"], "--set 'paint.shiny': has no '='; write --set node.port=value"),
        (["--set", "pant.shiny=true"], "no node 'pant' to set an input of; did you mean 'paint'?"),
        (["--set", "paint=5"], "paint: names no input; write 'node.port'"),
        (["--set", "paint.shine=true"], "has no such input; did you mean 'shiny'?"),
        (["--input", "color=red"], "declares no such input; did you mean 'colour'?"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--colour=--"], "--colour=--: -- is no value"),
        (["--out", "paint.json/x"], "cannot be written: Not a directory; choose another folder"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert call("run", "paint.json", *words) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("nodegraph: ")
    assert not (here / "out").exists()


def test_a_missing_flow_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "none.json") == 2
    assert capsys.readouterr().err == "nodegraph: none.json: no such file; check the path\n"


def test_a_failing_node_is_exit_code_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = {"nodegraph": 1, "nodes": {"a": {"type": "toys.fail"}}, "outputs": {"a": {"ref": "a"}}}
    (here / "fail.json").write_text(json.dumps(flow))
    assert call("run", "fail.json", "--quiet") == 1
    assert capsys.readouterr().err == "nodegraph: a (toys.fail): RuntimeError: no luck\n"
    assert call("run", "fail.json", "--traceback") == 1
    assert "raise RuntimeError(words)" in capsys.readouterr().err


def test_json_events_on_stdout_are_not_disturbed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = {"nodegraph": 1, "nodes": {"a": {"type": "toys.shout"}}, "outputs": {"a": {"ref": "a"}}}
    (here / "shout.json").write_text(json.dumps(flow))
    assert call("run", "shout.json", "--json") == 0
    said = capsys.readouterr()
    events = [json.loads(line)["event"] for line in said.out.splitlines()]
    assert events == ["loading", "planned", "started", "finished", "written"]
    assert said.err == "hello\n"


def test_run_with_json_tells_problems_as_json(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", "paint.json", "--json", "--colour", "pink") == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["problems"][0]["pointer"] == "/nodes/paint/inputs/colour"


def test_check_answers_in_words_and_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", "paint.json") == 0
    assert capsys.readouterr().out == "paint.json: no problems\n"
    assert call("check", "paint.json", "--json", "--colour", "pink") == 2
    answer = json.loads(capsys.readouterr().out)
    assert [p["code"] for p in answer["problems"]] == ["wrong_type"]


def test_check_notes_what_does_not_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = {**PAINT, "nodes": {**PAINT["nodes"], "idle": {"type": "toys.toy"}}}
    (here / "more.json").write_text(json.dumps(more))
    assert call("check", "more.json") == 0
    assert capsys.readouterr().err == "note: idle: no output needs it; it does not run\n"


def test_help_of_a_flow_lists_its_inputs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "paint.json", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "A painted toy" in said
    assert '--colour TEXT its colour; a string (default: "red")' in said


def test_nodes_lists_and_shows_pages(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("nodes", "toys") == 0
    assert "toys.paint         Paint a toy." in capsys.readouterr().out
    assert call("nodes", "toys.scale") == 0
    page = capsys.readouterr().out
    assert "toys.scale@1" in page
    assert "x  what is multiplied; a number" in page
    assert "factor  a number above 0, below 10 (default: 2.0)" in page
    assert call("nodes", "toys.scael") == 2
    assert "did you mean 'scale'?" in capsys.readouterr().err


def test_graph_draws_mermaid(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("graph", "paint.json") == 0
    drawn = capsys.readouterr().out.splitlines()
    assert drawn[0] == "flowchart LR"
    assert "  n_bear -->|toy: toy| n_paint" in drawn
    assert "  in_colour -->|colour: string| n_paint" in drawn
    assert "  n_paint -->|toy| out_toy" in drawn


def test_schema_describes_every_node(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema", "toys") == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$defs"]["toys.number"]["properties"]["value"]["default"] == 7
    assert "toys.paint@2" in schema["$defs"]["node"]["properties"]["type"]["enum"]


def test_ctrl_c_ends_with_130_and_stands_in_the_journal(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"type": "toys.count", "inputs": {"steps": 1000, "seconds": 0.01}}
    flow = {"nodegraph": 1, "nodes": {"a": slow}, "outputs": {"a": {"ref": "a"}}}
    (here / "slow.json").write_text(json.dumps(flow))
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    assert call("run", "slow.json") == 130
    assert capsys.readouterr().err == "interrupted\n"
    last = (here / "out" / "slow" / "journal.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "cancelled"


def test_a_terminal_sees_bars_and_then_the_paths(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call("run", "paint.json") == 0
    said = capsys.readouterr()
    assert "[2/2] paint" in said.err
    assert said.out.startswith("out/paint/toy.toy (toy red bear)\n")


PROOF = """
import sys
from nodegraph.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "numpy", "PIL", "cv2", "networkx", "pydantic", "rich", "toys", "nodegraph_image"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def fresh(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a fresh process that sees the toys."""
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", PROOF, *words],
        env={**os.environ, "PYTHONPATH": path, **more},
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_imports_no_node_and_nothing_heavy(here: Path) -> None:
    done = fresh("check", "paint.json")
    assert (done.stdout, done.stderr) == ("paint.json: no problems\n", "[]\n")


def test_a_closed_pipe_is_no_traceback(here: Path) -> None:
    code = f"{sys.executable} -m nodegraph.cli nodes toys | true"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(code, shell=True, env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def odd(here: Path, words: str) -> "subprocess.CompletedProcess[str]":
    """Run shell words in which NG is the command line."""
    code = words.replace("NG", f"{sys.executable} -m nodegraph.cli")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(code, shell=True, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "streams", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full", ">/dev/full", "--json | head -1"]
)
def test_a_stream_that_is_gone_loses_no_output(here: Path, streams: str) -> None:
    done = odd(here, f"NG run paint.json --out o {streams}")
    assert "Traceback" not in done.stderr
    assert toy_in(here / "o") == "red bear"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_that_a_node_swallows_ends_the_run(here: Path, name: str, code: int) -> None:
    nodes = {
        "a": {"type": "toys.stubborn"},
        "b": {"type": "toys.add", "inputs": {"a": {"ref": "a"}}},
    }
    flow = {"nodegraph": 1, "nodes": nodes, "outputs": {"b": {"ref": "b"}}}
    (here / "stubborn.json").write_text(json.dumps(flow))
    timer = threading.Timer(0.5, os.kill, [os.getpid(), getattr(signal, name)])
    timer.start()
    assert call("run", "stubborn.json") == code
    assert not (here / "out" / "stubborn" / "b.json").exists()
