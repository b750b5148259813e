"""The judge: a small network that says, pixel by pixel, what a blocks picture shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from nodegraph_blocks.scene import COLOURS, SHAPES, Colour, Shape
from nodegraph_diffusion.models.normalization import GroupNorm
from nodegraph_training.kept import replacing

WIDTHS: Final = (24, 48, 72, 96)
SHAPE_CLASSES: Final = 1 + len(SHAPES)  # 0 is no thing: ground or sky
CLASSES: Final = SHAPE_CLASSES + len(COLOURS) + 1  # the last channel is depth
SMALLEST: Final = 24  # map pixels (of 64 x 64): less is a stain, not a thing
FRAGMENT: Final = 0.12  # and so is what has less than this share of the largest thing

Bytes = NDArray[np.uint8]


class Annotator(nn.Module):
    """An encoder and decoder with skips; maps come at half the picture's resolution."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_layer(a, b, stride=2), _layer(b, b))
            for a, b in zip(inputs, WIDTHS, strict=True)
        )
        self.middle = _layer(WIDTHS[-1], WIDTHS[-1])
        pairs = zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        self.up = nn.ModuleList(_layer(a + b, b) for a, b in pairs)
        self.head = nn.Conv2d(WIDTHS[0], CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures `(B, 3, H, W)` in [-1, 1] to `(B, CLASSES, H/2, W/2)`.

        Channels: logits of no thing and the shapes, logits of the colours, depth hint in [0, 1].
        """
        skips: list[Tensor] = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        x = self.middle(x)
        for stage, skip in zip(self.up, skips[-2::-1], strict=True):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        maps: Tensor = self.head(x)
        return maps


@dataclass(frozen=True)
class Found:
    """One thing that was read from a picture; `x`, `y` is its middle, in shares of the sides."""

    shape: Shape
    colour: Colour
    x: float
    y: float
    area: float


@dataclass(frozen=True)
class Reading:
    """What one picture shows: its things, largest first, and its depth hint `(H, W)` in [0, 1]."""

    things: tuple[Found, ...]
    depth: NDArray[np.float32]


@torch.inference_mode()
def read_pictures(annotator: Annotator, pictures: Bytes, *, batch: int = 50) -> list[Reading]:
    """Read pictures `(N, H, W, 3) uint8` RGB whose sides are multiples of 16.

    Raises:
        ValueError: other sides.
    """
    height, width = pictures.shape[1:3]
    if height % 16 or width % 16:
        raise ValueError(f"judge: {width} x {height} pixels; give sides that are multiples of 16")
    readings: list[Reading] = []
    for start in range(0, len(pictures), batch):
        part = np.ascontiguousarray(pictures[start : start + batch])
        x = torch.as_tensor(part).permute(0, 3, 1, 2).float() / 127.5 - 1
        readings += [_read(maps) for maps in annotator(x).float().numpy()]
    return readings


def load_annotator(path: Path) -> Annotator:
    """Load weights that `save_annotator` wrote, as float32.

    Raises:
        ValueError: the file is missing, damaged or holds other tensors.
    """
    with torch.device("meta"):  # no random numbers for weights that are replaced
        annotator = Annotator()
    try:
        if not path.is_file():  # to open a pipe would wait for ever
            raise OSError("no file")
        # Its types leave open what a PathLike is of.
        tensors = safetensors.torch.load_file(path)  # pyright: ignore[reportUnknownMemberType]
        weights = {name: value.float() for name, value in tensors.items()}
        annotator.load_state_dict(weights, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{path}: these are not the judge's weights; give what blocks.train_annotator wrote"
        ) from error
    return annotator.requires_grad_(False).eval()


def save_annotator(annotator: Annotator, path: Path) -> None:
    """Write the weights as float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in annotator.state_dict().items()}
    metadata = {"format": "pt", "nodegraph.annotator": "blocks"}
    with replacing(path) as fresh:
        safetensors.torch.save_file(tensors, fresh, metadata)  # pyright: ignore[reportUnknownMemberType]


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        GroupNorm(outputs // 12, outputs, silu=True),
    )


def _read(maps: NDArray[np.float32]) -> Reading:
    """Read the things from one picture's maps `(CLASSES, h, w)`."""
    shapes = maps[:SHAPE_CLASSES]
    colours = maps[SHAPE_CLASSES:-1].argmax(0)
    solid = shapes.argmax(0) > 0
    found: list[Found] = []
    for index, colour in enumerate(COLOURS):
        for place in _places(solid & (colours == index)):
            found.append(_thing(shapes, place, colour))
    found.sort(key=lambda thing: -thing.area)
    kept = tuple(thing for thing in found if thing.area >= FRAGMENT * found[0].area)
    height, width = maps.shape[1:]
    size = (2 * width, 2 * height)
    depth = np.asarray(cv2.resize(maps[-1], size, interpolation=cv2.INTER_LINEAR), np.float32)
    return Reading(kept, np.clip(depth, 0, 1))


def _places(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Split a mask into its connected parts, stains left out."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] >= SMALLEST:
            yield labels == label


def _thing(shapes: NDArray[np.float32], place: NDArray[np.bool_], colour: Colour) -> Found:
    """Let the pixels of one place vote for its shape."""
    logits = shapes[:, place]
    votes = np.exp(logits - logits.max(0))
    votes = (votes / votes.sum(0)).sum(1)[1:]
    y, x = np.nonzero(place)
    height, width = place.shape
    return Found(
        shape=SHAPES[int(votes.argmax())],
        colour=colour,
        x=float(x.mean() + 0.5) / width,
        y=float(y.mean() + 0.5) / height,
        area=float(place.mean()),
    )
