"""Pictures and masks as values, and what the engine may do with them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nodegraph import Codec, port

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
MAX_PIXELS = 2**26  # 8192 x 8192; in float32 that is 0.8 GB already

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class ImageCodec(Codec["Image"]):
    """PNG, JPEG, WebP and GIF in, PNG out; stored without loss as float32."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    @staticmethod
    def read(path: Path) -> "Image":
        """Read one picture; what its file leaves transparent keeps its colours."""
        from nodegraph_image.reading import read_picture  # with a decoder, when one is needed

        return Image(read_picture(path)[0][None])

    @staticmethod
    def write(value: "Image", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        """Write PNG files, one for each picture of a batch."""
        from nodegraph_image.writing import write_pictures

        return write_pictures(quantise(value.pixels), stem, record)

    @staticmethod
    def dump(value: "Image", folder: Path) -> None:
        """Store the values without loss."""
        np.save(folder / "pixels.npy", value.pixels, allow_pickle=False)

    @staticmethod
    def restore(folder: Path) -> "Image":
        """Give back what `dump` stored."""
        return Image(np.load(folder / "pixels.npy", allow_pickle=False))

    @staticmethod
    def size(value: "Image") -> int:
        """Count the bytes of the values."""
        return value.pixels.nbytes

    @staticmethod
    def digest(value: "Image") -> str:
        """Digest shape and values."""
        return _digest(value.pixels)

    @staticmethod
    def examples() -> "list[Image]":
        """Give pictures of 8 x 8, of 7 x 13 and of one pixel, and a batch."""
        return [Image(_grey(*shape, 3)) for shape in ((1, 8, 8), (2, 8, 8), (1, 7, 13), (1, 1, 1))]

    @staticmethod
    def describe(value: "Image") -> str:
        """Say batch, height and width."""
        return _sides(value.pixels)


class MaskCodec(Codec["Mask"]):
    """The brightness of a picture file in, a grey PNG out; white is inside."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    @staticmethod
    def read(path: Path) -> "Mask":
        """Read one mask: the mean of red, green and blue."""
        from nodegraph_image.reading import read_picture

        return Mask(read_picture(path)[0].mean(axis=2)[None])

    @staticmethod
    def write(value: "Mask", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        """Write grey PNG files, one for each mask of a batch."""
        from nodegraph_image.writing import write_pictures

        return write_pictures(quantise(value.values), stem, record)

    @staticmethod
    def dump(value: "Mask", folder: Path) -> None:
        """Store the values without loss."""
        np.save(folder / "values.npy", value.values, allow_pickle=False)

    @staticmethod
    def restore(folder: Path) -> "Mask":
        """Give back what `dump` stored."""
        return Mask(np.load(folder / "values.npy", allow_pickle=False))

    @staticmethod
    def size(value: "Mask") -> int:
        """Count the bytes of the values."""
        return value.values.nbytes

    @staticmethod
    def digest(value: "Mask") -> str:
        """Digest shape and values."""
        return _digest(value.values)

    @staticmethod
    def examples() -> "list[Mask]":
        """Give masks of the sizes of the example pictures."""
        return [Mask(_grey(*shape)) for shape in ((1, 8, 8), (2, 8, 8), (1, 7, 13), (1, 1, 1))]

    @staticmethod
    def describe(value: "Mask") -> str:
        """Say batch, height and width."""
        return _sides(value.values)


def _grey(*shape: int) -> Floats:
    """Return values from 0 to 1 of a shape, no two rows alike."""
    count = int(np.prod(shape))
    return np.asarray(np.arange(count) * 37 % 101 / 100, np.float32).reshape(shape)


@port(codec=ImageCodec)
@dataclass(frozen=True, eq=False)
class Image:
    """Pictures of one size: `pixels` is (B, H, W, 3) float32 RGB in [0, 1], read-only.

    Raises:
        ValueError: another shape, or values that are not in [0, 1].
    """

    pixels: Floats

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 4 or shape[3] != 3:
            raise ValueError(f"image: the shape is {shape}; it has to be (B, H, W, 3)")
        object.__setattr__(self, "pixels", _frozen("image", self.pixels))


@port(codec=MaskCodec)
@dataclass(frozen=True, eq=False)
class Mask:
    """Where something is: `values` is (B, H, W) float32 in [0, 1], read-only; 1 is inside.

    Raises:
        ValueError: another shape, or values that are not in [0, 1].
    """

    values: Floats

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) != 3:
            raise ValueError(f"mask: the shape is {shape}; it has to be (B, H, W)")
        object.__setattr__(self, "values", _frozen("mask", self.values))


def quantise(values: Floats) -> Bytes:
    """Round floats in [0, 1] to bytes of the same shape, halves to even: `rint(255 x)`."""
    rounded: Bytes = np.rint(values * np.float32(255)).astype(np.uint8)
    return rounded


def from_bytes(values: Bytes) -> Floats:
    """Turn bytes into floats in [0, 1] of the same shape; `quantise` gives the bytes back."""
    return values.astype(np.float32) / np.float32(255)


def _frozen(place: str, values: Floats) -> Floats:
    """Return a read-only copy; an array that is read-only already is taken as it is."""
    if values.size == 0:
        raise ValueError(f"{place}: the shape is {values.shape}; no side may be 0")
    frozen = np.array(values, np.float32, order="C", copy=values.flags.writeable or None)
    low, high = float(frozen.min()), float(frozen.max())
    if not (low >= 0 and high <= 1):  # in this form NaN is refused, too
        raise ValueError(f"{place}: values from {low:g} to {high:g}; they have to be in 0 .. 1")
    frozen.flags.writeable = False
    return frozen


def _digest(values: Floats) -> str:
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()


def _sides(values: Floats) -> str:
    return " x ".join(str(side) for side in values.shape[:3])
