"""Write and read the whole state of a run, atomically."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nodegraph_training.errors import TrainingError
from nodegraph_training.tensors import read_tensors, write_tensors


@dataclass(frozen=True)
class Saved:
    """A run's state: the number of steps done, and every tensor by name."""

    step: int
    tensors: dict[str, Tensor]


def save(path: Path, state: Saved) -> None:
    """Write the state; a failed write leaves the old file.

    Raises: TrainingError when it cannot be written, for example on a full disk.
    """
    try:
        write_tensors(path, state.tensors, {"step": state.step})
    except OSError as error:
        raise TrainingError(
            f"{path}: the checkpoint of step {state.step} could not be written ({error}); make "
            "room and start the same command again: it continues from the checkpoint before"
        ) from error


def load(path: Path) -> Saved:
    """Read a state that `save` wrote.

    Raises: TrainingError when the file is no checkpoint of a run.
    """
    try:
        tensors, note = read_tensors(path)
        step = note["step"]
        if type(step) is not int or step < 1:
            raise ValueError(f"its step is {step!r}")
        return Saved(step, tensors)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{path}: is not the checkpoint of a run ({error}); delete it to begin the run anew"
        ) from error
