"""A batch on a real Ray cluster of two workers, some of which are killed in the middle."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cli import main

pytest.importorskip("ray")

ROWS = 200
FLOW: dict[str, Any] = {
    "nodegraph": 1,
    "inputs": {
        "seed": {"type": "integer", "default": 0},
        "low": {"type": "integer", "default": 100},
    },
    "nodes": {
        "scene": {"type": "blocks.scene", "inputs": {"seed": {"ref": "inputs.seed"}, "size": 48}},
        "edges": {
            "type": "image.canny",
            "inputs": {
                "image": {"ref": "scene.image"},
                "low": {"ref": "inputs.low"},
                "high": 250,
            },
        },
    },
    "outputs": {
        "image": {"ref": "scene.image"},
        "edges": {"ref": "edges"},
        "caption": {"ref": "scene.caption"},
    },
}


def answers(folder: Path) -> list[dict[str, Any]]:
    """What the ledger holds, without a last line that is being written."""
    try:
        lines = (folder / "batch.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def test_rows_on_two_workers_with_kills_are_those_of_a_quiet_batch_here(tmp_path: Path) -> None:
    """Three workers are killed; nothing is lost, nothing finished is done again."""
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    low = ["x" if n == 77 else 100 for n in range(ROWS)]  # one row fails wherever it runs
    rows = "".join(f"{n},{word}\n" for n, word in enumerate(low))
    (tmp_path / "rows.csv").write_text(f"seed,low\n{rows}")
    words = ["batch", str(tmp_path / "flow.json"), "--data", str(tmp_path / "rows.csv"), "--quiet"]
    quiet, out = tmp_path / "quiet", tmp_path / "out"
    assert main([*words, "--out", str(quiet)]) == 1
    command = [sys.executable, "-m", "nodegraph.cli", *words, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command += ["--on", "ray", "--workers", "2"]
    killed: list[int] = []
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as batch:
        until = time.monotonic() + 240
        while batch.poll() is None and time.monotonic() < until:
            done = answers(out)
            if len(killed) < 3 and len(done) > 40 * (len(killed) + 1):
                killed.append(int(done[-1]["where"].rpartition(":")[2]))
                os.kill(killed[-1], signal.SIGKILL)
            time.sleep(0.02)
        batch.kill()
        assert batch.stderr is not None
        assert "Traceback" not in batch.stderr.read()
    assert batch.returncode == 1
    assert len(killed) == 3
    done = answers(out)
    assert set(Counter(each["id"] for each in done).values()) == {1}
    assert len({each["where"] for each in done}) >= 4
    for path in quiet.rglob("*"):
        if path.is_file() and path.suffix != ".jsonl" and path.name != "batch.lock":
            assert (out / path.relative_to(quiet)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nowhere.invalid:1", "127.0.0.1:99999"])
def test_a_cluster_that_is_not_there_is_told_at_once(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(port=free.getsockname()[1])
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    (tmp_path / "rows.csv").write_text("seed\n1\n")
    words = ["batch", str(tmp_path / "flow.json"), "--data", str(tmp_path / "rows.csv")]
    words += ["--out", str(tmp_path / "out"), "--on", f"ray://{address}"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert f"nodegraph: the cluster ray://{address} cannot be reached: " in said
    assert said.endswith("; is it up, and is this its port?\n")
