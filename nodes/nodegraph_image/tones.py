"""Annotators that keep tones: blur, tile, recolouring, thresholds and grids of colours."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from nodegraph import node
from nodegraph_image.detecting import Resolution, annotated
from nodegraph_image.picture import Bytes, Image

LONGEST = 32766
"""Pixels of a side that OpenCV can move about."""


@node(device="cpu")
def blur(image: Image, *, sigma: Annotated[float, Field(gt=0, le=200)] = 9.0) -> Image:
    """Blur pictures with a Gaussian, for ControlNets that make blurred pictures sharp.

    Args:
        image: the pictures
        sigma: the standard deviation in pixels
    """
    return annotated(image, lambda x: _blur(x, sigma))


@node(device="cpu")
def tile(
    image: Image,
    *,
    rate: Annotated[float, Field(ge=1, le=16)] = 1.0,
    steps: Annotated[int, Field(ge=0, le=5)] = 3,
    resolution: Resolution = 512,
) -> Image:
    """Take away detail that a tile ControlNet is to invent again.

    The picture is shrunk `rate` times as much as `steps` doublings by smooth upsampling (pyrUp)
    bring back, then brought to its size.

    Source: the tile annotator of ControlNet 1.1: downsampling by a rate, then pyrUp three times.

    Args:
        image: the pictures
        rate: how much is taken away
        steps: how often the picture is doubled
        resolution: the shorter side of the result, a multiple of 64; 0 is the picture's own
    """
    return annotated(image, lambda x: _tile(x, rate, steps), resolution)


@node(device="cpu")
def recolour(
    image: Image,
    *,
    keep: Literal["luminance", "intensity"] = "luminance",
    gamma: Annotated[float, Field(gt=0, le=10)] = 1.0,
) -> Image:
    """Take the colours out of pictures, for ControlNets that colour them again.

    `luminance` keeps L of the Lab colour space, `intensity` V of HSV, the largest channel. (Other
    systems read red as blue before they compute L, so that their reds are darker than here.)

    Args:
        image: the pictures
        keep: which brightness stays
        gamma: an exponent on it; above 1 darkens
    """
    return annotated(image, lambda x: _brightness(x, keep, gamma))


@node(device="cpu")
def threshold(
    image: Image,
    *,
    at: Annotated[int, Field(ge=0, le=255)] = 127,
    method: Literal["fixed", "otsu"] = "fixed",
) -> Image:
    """Make pictures black and white: white where the grey is above a threshold.

    `otsu` finds the threshold that parts the picture's own greys best, and `at` has no part.

    Source: Otsu, A Threshold Selection Method from Gray-Level Histograms, 1979.

    Args:
        image: the pictures
        at: the threshold
        method: whether it is given or found
    """
    return annotated(image, lambda x: _parted(x, at, method))


@node(device="cpu")
def color_grid(image: Image, *, block: Annotated[int, Field(ge=2, le=512)] = 64) -> Image:
    """Reduce pictures to a grid of flat colours, for adapters that follow a palette.

    Source: T2I-Adapter's colour annotator: shrunk 64 times with a cubic rule, enlarged with the
    nearest; area is used here for shrinking, which lets no pixel out.

    Args:
        image: the pictures
        block: the side of a flat square in pixels
    """
    return annotated(image, lambda x: _grid(x, block))


@node(device="cpu")
def shuffle(
    image: Image,
    *,
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0,
    scale: Annotated[int, Field(ge=2, le=4096)] = 256,
) -> Image:
    """Stir pictures up, so that colours and materials stay and no shape does.

    Every pixel is taken from where a smooth random flow points: noise on a grid `scale` pixels
    wide, enlarged, and stretched over the whole picture. The same seed gives the same picture.

    Source: ControlNet 1.1's content shuffle (F = 256), with a generator of its own in the place of
    the global one.

    Args:
        image: the pictures
        seed: decides the flow, the same for every picture of a batch
        scale: how far apart independent directions are, in pixels
    """
    return annotated(image, lambda x: _shuffled(x, seed, scale))


def _blur(x: Bytes, sigma: float) -> Bytes:
    import cv2  # here, so that flows without it start sooner

    return np.asarray(cv2.GaussianBlur(x, (0, 0), sigma), np.uint8)


def _tile(x: Bytes, rate: float, steps: int) -> Bytes:
    import cv2

    height, width = x.shape[:2]
    grow = 2**steps
    size = max(1, round(width / rate / grow)), max(1, round(height / rate / grow))
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    for _ in range(steps):
        small = cv2.pyrUp(small)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _brightness(x: Bytes, keep: str, gamma: float) -> Bytes:
    import cv2

    if keep == "luminance":
        bright = np.asarray(cv2.cvtColor(x, cv2.COLOR_RGB2LAB), np.uint8)[..., 0]
    else:
        bright = x.max(axis=2)
    curve = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return np.asarray(curve[bright], np.uint8)


def _parted(x: Bytes, at: int, method: str) -> Bytes:
    import cv2

    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)
    kind = cv2.THRESH_BINARY | (cv2.THRESH_OTSU if method == "otsu" else 0)
    return np.asarray(cv2.threshold(grey, at, 255, kind)[1], np.uint8)


def _grid(x: Bytes, block: int) -> Bytes:
    import cv2

    height, width = x.shape[:2]
    size = max(1, width // block), max(1, height // block)
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _shuffled(x: Bytes, seed: int, scale: int) -> Bytes:
    import cv2

    height, width = x.shape[:2]
    if max(height, width) > LONGEST:
        raise ValueError(f"shuffle: {width} x {height}; sides are at most {LONGEST:,} pixels")
    random = np.random.default_rng(seed)
    flow = [_flow(random, (height, width), scale) * (side - 1) for side in (width, height)]
    moved = cv2.remap(x, flow[0], flow[1], cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8)


def _flow(
    random: np.random.Generator, size: tuple[int, int], scale: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a smooth random field (H, W) that covers 0 to 1."""
    import cv2

    height, width = size
    grid = random.uniform(size=(height // scale + 2, width // scale + 2)).astype(np.float32)
    size = width + 2 * scale, height + 2 * scale
    wide = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    field = np.asarray(wide[scale : scale + height, scale : scale + width], np.float32)
    span = float(field.max() - field.min())
    return np.asarray((field - field.min()) / np.float32(span or 1.0), np.float32)
