"""A run that was broken off goes on as if nothing had happened."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nodegraph_training.errors import TrainingError
from nodegraph_training.log import read
from nodegraph_training.loop import train
from nodegraph_training.order import batch_indices
from tests.training.toys import LineTask, quick


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "state.safetensors")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    tmp_path: Path, workers: int, optimizer: str
) -> None:
    settings = {"workers": workers, "optimizer": optimizer, "save_every": 3}
    train(LineTask(), quick(9, **settings), tmp_path / "whole")
    train(LineTask(), quick(9, **settings, stop=5), tmp_path / "broken")
    train(LineTask(), quick(9, **settings), tmp_path / "broken")
    whole, broken = state(tmp_path / "whole"), state(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_the_log_of_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    train(LineTask(), quick(9, stop=5), tmp_path)
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 6, "loss": 99}\n{"step": 7, "lo')
    train(LineTask(), quick(9), tmp_path)
    assert [line["step"] for line in read(tmp_path / "log.jsonl")] == list(range(1, 10))
    assert all(line["loss"] < 99 for line in read(tmp_path / "log.jsonl"))


def test_a_finished_run_is_returned_without_another_step(tmp_path: Path) -> None:
    train(LineTask(), quick(4), tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()
    done = train(LineTask(), quick(4), tmp_path)
    assert done.step == 4
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_a_folder_of_another_run_is_refused_by_the_setting_that_differs(tmp_path: Path) -> None:
    train(LineTask(), quick(4), tmp_path)
    with pytest.raises(TrainingError, match=r"holds a run with rate = 0.001, not 0.01; give the"):
        train(LineTask(), quick(4, rate=0.01), tmp_path)


def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    train(LineTask(), quick(4), tmp_path)
    (tmp_path / "state.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(TrainingError, match=r"is not the checkpoint of a run .*; delete it"):
        train(LineTask(), quick(4), tmp_path)


def test_every_epoch_visits_every_sample_once() -> None:
    seen = [index for step in range(10) for index in batch_indices(15, 3, step, seed=4)]
    assert sorted(seen[:15]) == sorted(seen[15:]) == list(range(15))
    assert seen[:15] != seen[15:]
