"""The loop: what it writes, what it refuses, and that it learns."""

import errno
import platform
import resource
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nodegraph import Cancelled
from nodegraph_training import checkpoint, tensors
from nodegraph_training.curve import draw_curve
from nodegraph_training.errors import TrainingError
from nodegraph_training.log import read
from nodegraph_training.loop import train
from nodegraph_training.memory import keep_freed_memory
from nodegraph_training.muon import orthogonalize, suits
from nodegraph_training.settings import Settings
from tests.training.toys import LineTask, quick


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_line_is_learnt(tmp_path: Path, optimizer: str) -> None:
    train(LineTask(), quick(200, rate=0.05, optimizer=optimizer), tmp_path)
    losses = [line["loss"] for line in read(tmp_path / "log.jsonl")]
    assert np.mean(losses[-10:]) < 0.02 * np.mean(losses[:10])


def test_the_curve_and_the_samples_are_pictures(tmp_path: Path) -> None:
    done = train(LineTask(), quick(6, preview_every=2), tmp_path)
    curve = cv2.imread(str(done.curve))
    assert curve is not None
    assert (curve < 200).any()
    names = [file.name for file in sorted((tmp_path / "samples").iterdir())]
    assert names == ["000002.png", "000004.png", "000006.png"]


def test_a_falling_loss_is_drawn_falling() -> None:
    steps = [float(step) for step in range(1, 101)]
    picture = draw_curve(steps, [10.0 / step for step in steps], "falling")
    dark = (picture == (180, 90, 20)).all(axis=2)
    columns = np.flatnonzero(dark.any(axis=0))
    heights = [np.flatnonzero(dark[:, column]).mean() for column in columns]
    assert heights[-1] > heights[len(heights) // 2] > heights[0]


def test_an_empty_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the data set is empty; give at least one picture"):
        train(LineTask(count=0), quick(2), tmp_path)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss of step 6 is nan; lower `rate`"):
        train(LineTask(poison=5), quick(9, save_every=4), tmp_path)
    assert checkpoint.load(tmp_path / "state.safetensors").step == 4


def test_a_full_disk_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(LineTask(), quick(9, stop=3), tmp_path)
    old = (tmp_path / "state.safetensors").read_bytes()

    def full(values: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(TrainingError, match=r"step 9 could not be written .*No space left"):
        train(LineTask(), quick(9), tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == old
    assert not list(tmp_path.glob("*.partial"))


def test_a_cancelled_run_loses_no_step(tmp_path: Path) -> None:
    def cancel(done: int, total: int, message: str) -> None:
        if done == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(LineTask(), quick(9), tmp_path, progress=cancel)
    assert checkpoint.load(tmp_path / "state.safetensors").step == 5


def test_progress_tells_step_loss_and_speed(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    train(LineTask(), quick(3), tmp_path, progress=lambda *said: told.append(said))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[0][2].startswith("loss ")
    assert told[0][2].endswith("steps/s")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, r"batch is below 1"),
        ({"batch": 3, "workers": 2}, r"a batch of 3 does not split over 2 workers"),
    ],
)
def test_settings_that_no_run_can_have_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Settings(4, **changes)  # type: ignore[arg-type]


def test_the_learning_rate_rises_stays_and_falls_to_zero() -> None:
    settings = Settings(100, rate=1.0, warmup=10, decay=0.5)
    rates = [settings.learning_rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == 0.0


@pytest.mark.parametrize("shape", [(24, 60), (60, 24)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


def test_tables_of_vectors_and_narrow_kernels_are_left_to_adamw() -> None:
    assert suits("conv.weight", torch.zeros(32, 16, 3, 3))
    assert not suits("token_embedding.weight", torch.zeros(100, 64))
    assert not suits("out.2.weight", torch.zeros(4, 64, 3, 3))
    assert not suits("conv.bias", torch.zeros(64))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    assert keep_freed_memory()
    block = 64 << 20
    np.full(block, 1, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.full(block, 1, np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 4 * block // 4096 / 2
