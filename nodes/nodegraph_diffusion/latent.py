"""The latent: what a sampler works on and a VAE turns into pictures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph import Codec, port

from .storage import digest_of, read_tensors, size_of, write_tensors

NAME = "latent.safetensors"


class LatentCodec(Codec["Latent"]):
    """Latents as safetensors files with one tensor, `latent`."""

    suffixes = (".safetensors",)

    @staticmethod
    def read(path: Path) -> "Latent":
        """Read a latent that was written before.

        Raises:
            ValueError: the file is no safetensors file or has no tensor `latent` of fractions.
        """
        latent = read_tensors(path).get("latent")
        if latent is None or not latent.is_floating_point():
            said = "no tensor 'latent'" if latent is None else f"a latent of {latent.dtype}"
            raise ValueError(f"{path.name}: there is {said}; give a latent's file")
        return Latent(latent.float())

    @staticmethod
    def write(value: "Latent", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        """Write one file, whatever the batch."""
        path = stem.with_name(stem.name + ".safetensors")
        write_tensors({"latent": value.samples}, path, record)
        return [path]

    @staticmethod
    def dump(value: "Latent", folder: Path) -> None:
        """Store the latent."""
        write_tensors({"latent": value.samples}, folder / NAME)

    @staticmethod
    def restore(folder: Path) -> "Latent":
        """Give back a stored latent."""
        return Latent(read_tensors(folder / NAME)["latent"])

    @staticmethod
    def size(value: "Latent") -> int:
        """Count the bytes of the samples."""
        return size_of({"latent": value.samples})

    @staticmethod
    def digest(value: "Latent") -> str:
        """Digest shape and values."""
        return digest_of({"latent": value.samples})

    @staticmethod
    def examples() -> "list[Latent]":
        """Give latents of four channels: 2 x 2, 3 x 5, and a batch."""
        shapes = ((1, 4, 2, 2), (1, 4, 3, 5), (2, 4, 2, 2))
        return [Latent(torch.linspace(-2, 2, math.prod(shape)).reshape(shape)) for shape in shapes]

    @staticmethod
    def describe(value: "Latent") -> str:
        """Say batch, channels, height and width."""
        return " x ".join(str(side) for side in value.samples.shape)


@port(codec=LatentCodec)
@dataclass(frozen=True, eq=False)
class Latent:
    """One or more latents: `samples` is (B, C, H/8, W/8) float32 on the CPU, in the UNet's units.

    The UNet's units are the VAE's times its scale factor (0.18215 for SD1), about unit variance.
    """

    samples: Tensor

    def __post_init__(self) -> None:
        """Raise ValueError for anything but four dimensions of float32, none of them empty."""
        shape = tuple(self.samples.shape)
        if len(shape) != 4 or 0 in shape or self.samples.dtype != torch.float32:
            raise ValueError(
                f"latent: {self.samples.dtype} of shape {shape}; give float32 (B, C, H, W)"
            )
