"""A short run of each fuzzer: `python -m tests.fuzz NAME` is the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import ROOT, TARGETS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="atheris is for Linux")


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(tmp_path: Path, name: str) -> None:
    words = [sys.executable, "-m", "tests.fuzz", name, "--runs", "2000", "--seed", "7"]
    done = subprocess.run(
        [*words, "--corpus", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr
    assert len(list(tmp_path.iterdir())) > len(list(TARGETS[name].seeds()))
    assert int(done.stdout.split()[-1].rstrip("%")) > 75  # of the branches that count
