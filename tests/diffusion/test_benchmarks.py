"""The benchmarks of speed run, at a size that measures nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.engine import growth
from benchmarks.sd15_step import arguments

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sd15")


def run(module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--quick", "--rounds", "1", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_step_is_compared_with_that_of_diffusers(files: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["--dtype", "float32", "--controls", "2", "--folder", str(files)]
    assert "ours / diffusers: " in run("sd15_step", *words, "--json", str(figures))
    (found,) = json.loads(figures.read_text())
    ours, theirs = found["ours"], found["diffusers"]
    assert found["ratios"]["peak"] == pytest.approx(ours["peak"] / theirs["peak"])
    assert ours["mean"] == pytest.approx(theirs["mean"], rel=0.01)  # both compute the same


@pytest.mark.slow
def test_a_cold_start_is_compared_with_that_of_diffusers(files: Path) -> None:
    printed = run("cold_start", "--dtype", "float32", "--folder", str(files))
    assert "ours / diffusers: " in printed


def test_a_size_that_no_network_takes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--size", "500"])
    assert "--size is 500; give a multiple of 64" in capsys.readouterr().err


def test_growth_is_told_as_a_ratio_to_a_thousand_nodes() -> None:
    assert growth({100: 9.0, 1_000: 2.0, 10_000: 2.0, 100_000: 3.0}) == {10_000: 1, 100_000: 1.5}
    assert growth({10_000: 2.0}) == {}
