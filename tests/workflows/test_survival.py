"""A run that is killed is taken up by the same command and ends with the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FLOW = Path(__file__).parents[2] / "workflows" / "canny.json"


def start(out: Path, store: Path) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "nodegraph.cli", "run", str(FLOW), "--out", str(out)]
    words += ["--save-every", "1", "--quiet", "--set", "sample.steps=30"]
    temporary = store.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    places = {"NODEGRAPH_STORE": str(store), "TMPDIR": str(temporary)}
    return subprocess.Popen(words, env={**os.environ, **places})


def events(out: Path) -> list[dict[str, object]]:
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    found: list[dict[str, object]] = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # cut off by a kill
    return found


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The picture of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("quiet")
    assert start(folder / "out", folder / "store").wait() == 0
    return (folder / "out" / "image.png").read_bytes()


def test_a_run_killed_while_it_samples_is_taken_up(tmp_path: Path, quiet: bytes) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    run = start(out, store)
    until = time.monotonic() + 60
    while not any(e["event"] == "progress" and e.get("done", 0) for e in events(out)):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.3)
    run.kill()
    run.wait()
    assert list((store / "partial").glob("*/answers.safetensors"))
    before = len(events(out))
    assert start(out, store).wait() == 0
    assert (out / "image.png").read_bytes() == quiet
    ran = {e["node"] for e in events(out)[before:] if e["event"] == "finished"}
    assert "text" not in ran
    assert list((store / "partial").iterdir()) == []


@pytest.mark.slow
def test_two_hundred_kills_at_random_moments(tmp_path: Path, quiet: bytes) -> None:
    out, store, dice = tmp_path / "out", tmp_path / "store", random.Random(0)
    kills = 0
    while kills < 200:
        run = start(out, store)
        try:
            assert run.wait(dice.uniform(0, 4)) == 0
            assert (out / "image.png").read_bytes() == quiet
            for path in [*out.glob("*.png"), *store.glob("??/*/entry.json")][
                :: dice.choice([1, 3])
            ]:
                path.unlink()  # something to do for the next one
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            kills += 1
    assert start(out, store).wait() == 0
    assert (out / "image.png").read_bytes() == quiet
    assert not list(out.glob(".*"))
    assert not list((tmp_path / "tmp").iterdir())
