"""The README: its commands run, its excerpts are true, its node is a node."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nodegraph
from nodegraph_image import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
NODE = next(block for block in blocks("python") if "@node" in block)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "workflows", folder / "workflows")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(checkout: Path, command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "nodegraph"
    done = subprocess.run(
        [sys.executable, "-m", "nodegraph.cli", *words],
        cwd=checkout, capture_output=True, text=True, timeout=120,
        env={**os.environ, "NODEGRAPH_STORE": str(checkout / "store")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr


def test_there_are_commands_to_run() -> None:
    assert len(COMMANDS) >= 5
    assert any("run" in command for command in COMMANDS)


def test_the_excerpt_stands_in_the_workflow() -> None:
    flow = (ROOT / "workflows" / "canny.json").read_text()
    lines = {line.strip().rstrip(",") for line in flow.splitlines()}
    (excerpt,) = blocks("json")
    shown = [line.strip().rstrip(",") for line in excerpt.splitlines()]
    assert [line for line in shown if line != "..." and line not in lines] == []


def test_every_workflow_is_in_the_table() -> None:
    listed = set(re.findall(r"^\| `(\w+\.json)` \|", README, re.MULTILINE))
    assert listed == {path.name for path in (ROOT / "workflows").glob("*.json")}


def test_the_node_of_ten_lines_is_a_node() -> None:
    assert len(NODE[NODE.index("@node") :].splitlines()) <= 10
    names: dict[str, object] = {}
    exec(NODE, names)
    fade: Any = names["fade"]
    assert hasattr(fade, "__nodegraph_node__")
    black = Image(np.zeros((1, 2, 2, 3), np.float32))
    assert np.all(fade(black, amount=0.25).pixels == 0.25)


def test_the_python_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (call,) = (block for block in blocks("python") if "nodegraph.run" in block)
    names: dict[str, object] = {}
    exec(call, names)
    outputs = names["outputs"]
    assert isinstance(outputs, nodegraph.Outputs)
    assert outputs["image"].pixels.shape == (1, 128, 128, 3)
