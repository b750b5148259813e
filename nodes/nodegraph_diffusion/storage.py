"""Named tensors in safetensors files: written, read, measured and digested, never pickled."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, record: Mapping[str, Any] | None = None
) -> None:
    """Write tensors to a safetensors file, and `record` as JSON under the metadata `nodegraph`."""
    metadata = {"nodegraph": json.dumps(record, sort_keys=True)} if record is not None else None
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    # Its types leave open what a PathLike is of.
    safetensors.torch.save_file(plain, path, metadata)  # pyright: ignore[reportUnknownMemberType]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        ValueError: the file is none.
    """
    try:
        return safetensors.torch.load_file(path)  # pyright: ignore[reportUnknownMemberType]
    except SafetensorError as error:
        raise ValueError(f"{path.name}: {error}; give a safetensors file") from error


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes that tensors hold."""
    return sum(t.numel() * t.element_size() for t in tensors.values())


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}\n".encode())
        digest.update(t.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
