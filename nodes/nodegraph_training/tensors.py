"""Tensors on disk: one safetensors file with a note, written whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.torch import load, save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from nodegraph_training.kept import replacing

NOTE = "nodegraph.training"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write the file beside `path`, then put it in place; a failed write leaves the old file.

    Raises: OSError when it cannot be written, for example on a full disk.
    """
    try:
        with replacing(path) as fresh:
            save_file(dict(tensors), fresh, {NOTE: json.dumps(note)})
            with fresh.open("rb") as file:
                os.fsync(file.fileno())
    except SafetensorError as error:
        raise OSError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `write_tensors` wrote: the tensors, and the note.

    Raises: ValueError when the file is another or damaged; OSError when it cannot be read.
    """
    data = path.read_bytes()
    try:
        size = int.from_bytes(data[:8], "little")
        header: Any = json.loads(data[8 : 8 + size])
        note: Any = json.loads(header["__metadata__"][NOTE])
        if not isinstance(note, dict):
            raise ValueError("its note is no object")
        return load(data), cast("dict[str, Any]", note)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
