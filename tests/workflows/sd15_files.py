"""Files of Stable Diffusion 1.5's exact names, shapes and size, without its weights."""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig

Shapes = Mapping[str, tuple[int, ...]]


def checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a checkpoint in the original layout."""
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "model.diffusion_model.": UNetModel(UNetConfig()),
            "first_stage_model.": AutoencoderKL(VAEConfig()),
            "cond_stage_model.transformer.": CLIPTextModel(CLIPTextConfig()),
        }
    return {k: v for prefix, part in parts.items() for k, v in _shapes(prefix, part.state_dict())}


def controlnet_shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a ControlNet in the original layout."""
    with torch.device("meta"):
        return dict(_shapes("control_model.", ControlNetModel(ControlNetConfig()).state_dict()))


def write_sparse(path: Path, shapes: Shapes) -> None:
    """Write a header and a hole of the right length: all zeros, and no room on the disk."""
    size = _write_header(path, shapes)
    with path.open("r+b") as file:
        file.truncate(file.seek(0, 2) + size)


def write_random(path: Path, shapes: Shapes, seed: int) -> None:
    """Write half-precision noise of std 0.02, one tensor in memory at a time; norms are near 1."""
    _write_header(path, shapes)
    random = np.random.default_rng(seed)
    with path.open("ab") as file:
        for name, shape in shapes.items():
            noise = random.standard_normal(shape, np.float32) * np.float32(0.02)
            if len(shape) == 1 and name.endswith("weight"):
                noise += 1
            file.write(noise.astype("<f2").tobytes())


def _shapes(prefix: str, state: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[int, ...]]]:
    return ((prefix + name, tuple(tensor.shape)) for name, tensor in state.items())


def _write_header(path: Path, shapes: Shapes) -> int:
    """Write the header of a safetensors file and return how many bytes of tensors follow."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return end
