"""A run's folder may be a stranger's: links that lead out of it are refused, damage is told."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nodegraph_training.errors import TrainingError
from nodegraph_training.kept import below
from nodegraph_training.log import read
from nodegraph_training.loop import train
from nodegraph_training.tensors import read_tensors, write_tensors
from tests.training.toys import LineTask, quick

KEPT = ("plan.json", "log.jsonl", "loss.png", "state.safetensors", "samples/000004.png")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the run's folder that a run has no business with."""
    path = tmp_path / "secret"
    path.write_text("mine")
    return path


@pytest.mark.parametrize("name", [*KEPT, "samples"])
def test_a_link_that_leads_out_is_named_and_neither_read_nor_written(
    tmp_path: Path, secret: Path, name: str
) -> None:
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path if name == "samples" else secret)
    with pytest.raises(TrainingError, match=f"{name}' is a link that leads out of its folder, to"):
        train(LineTask(), quick(4), tmp_path / "run")
    assert secret.read_text() == "mine"
    assert not (tmp_path / "000004.png").exists()


@pytest.mark.parametrize("name", [".plan.json.part", ".state.safetensors.part", ".log.jsonl.part"])
def test_a_link_in_the_place_of_a_draft_is_removed(tmp_path: Path, secret: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(secret)
    train(LineTask(), quick(4), tmp_path / "run")
    assert secret.read_text() == "mine"
    assert not (tmp_path / "run" / name).is_symlink()


@pytest.mark.parametrize("name", KEPT)
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(TrainingError, match=f"{name}' is a folder, pipe or device"):
        train(LineTask(), quick(4), tmp_path)


def test_a_run_goes_on_through_links_within_its_folder(tmp_path: Path) -> None:
    train(LineTask(), quick(4, stop=2), tmp_path / "run")
    (tmp_path / "run" / "samples").rename(tmp_path / "run" / "pictures")
    (tmp_path / "run" / "samples").symlink_to("pictures")
    (tmp_path / "link").symlink_to("run")  # the user's own
    assert train(LineTask(), quick(4), tmp_path / "link").step == 4
    assert (tmp_path / "run" / "pictures" / "000004.png").is_file()


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/hostname"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, secret: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(TrainingError, match="is not below the folder"):
        below(tmp_path / "run", name)


def test_a_name_through_a_linked_folder_does_not_lead_out(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").symlink_to(tmp_path)
    with pytest.raises(TrainingError, match="a' is a link that leads out"):
        below(tmp_path / "run", "a/secret")
    assert below(tmp_path / "run", "a/../b") == tmp_path / "run" / "b"


@pytest.mark.parametrize("text", ["", "[1]", "3", "nonsense", "[" * 100_000, "\udcff"])
def test_a_damaged_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TrainingError, match=r"plan\.json: is not the plan of a run"):
        train(LineTask(), quick(4), tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        *("3", "[]", "{}", '{"step": 2}', "[" * 100_000),
        *('{"step": 2, "loss": "x"}', '{"step": 2, "loss": NaN}', '{"step": 2, "loss": 1e999}'),
        '{"step": 2, "loss": 1' + "0" * 400 + "}",
    ],
)
def test_a_line_of_a_log_that_is_no_step_ends_it(tmp_path: Path, line: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n' + line + '\n{"step": 3, "loss": 2.0}\n')
    assert [entry["step"] for entry in read(log)] == [1]


def changed(path: Path, name: str, value: torch.Tensor | None, **note: Any) -> None:
    """Write a checkpoint again with another tensor or note."""
    tensors, old = read_tensors(path)
    tensors = {key: each for key, each in tensors.items() if key != name}
    write_tensors(path, tensors if value is None else {**tensors, name: value}, {**old, **note})


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_checkpoint_of_other_tensors_is_refused(tmp_path: Path, optimizer: str) -> None:
    settings = quick(4, optimizer=optimizer)
    train(LineTask(), settings, tmp_path)
    path = tmp_path / "state.safetensors"
    good = path.read_bytes()
    for name, tensor in load_file(path).items():
        wrong = [None, torch.zeros(*tensor.shape, 2), torch.zeros(tensor.shape, dtype=torch.int64)]
        for value in wrong:
            changed(path, name, value)
            with pytest.raises(TrainingError, match=f"it has no '{name}' of"):
                train(LineTask(), settings, tmp_path)
            path.write_bytes(good)


@pytest.mark.parametrize("step", [0, -1, 1.5, "3", None, True])
def test_a_checkpoint_of_no_step_is_refused(tmp_path: Path, step: object) -> None:
    train(LineTask(), quick(4), tmp_path)
    changed(tmp_path / "state.safetensors", "", None, step=step)
    with pytest.raises(TrainingError, match="its step is"):
        train(LineTask(), quick(4), tmp_path)


def test_a_note_that_is_no_object_is_refused(tmp_path: Path) -> None:
    train(LineTask(), quick(4), tmp_path)
    write_tensors(tmp_path / "state.safetensors", {"a": torch.zeros(1)}, [1])  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="is not the checkpoint of a run"):
        train(LineTask(), quick(4), tmp_path)
