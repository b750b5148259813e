"""Write and read the whole state of a run as one safetensors file, atomically."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nodegraph_training.errors import TrainingError


@dataclass(frozen=True)
class Saved:
    """A run's state: the number of steps done, and every tensor by name."""

    step: int
    tensors: dict[str, Tensor]


def save(path: Path, state: Saved) -> None:
    """Write the state beside `path`, then put it in place; a failed write leaves the old file.

    Raises: TrainingError when it cannot be written, for example on a full disk.
    """
    fresh = path.with_suffix(".partial")
    try:
        save_file(state.tensors, fresh, {"nodegraph.training": json.dumps({"step": state.step})})
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    except (OSError, SafetensorError) as error:
        fresh.unlink(missing_ok=True)
        raise TrainingError(
            f"{path}: the checkpoint of step {state.step} could not be written "
            f"({error}); make room and start the same command again: it continues from the "
            "checkpoint before"
        ) from error


def load(path: Path) -> Saved:
    """Read a state that `save` wrote.

    Raises: TrainingError when the file is no checkpoint of a run.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["nodegraph.training"])
            names = file.offset_keys()
            return Saved(int(header["step"]), {name: file.get_tensor(name) for name in names})
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{path}: is not the checkpoint of a run ({error}); delete it to begin the run anew"
        ) from error
