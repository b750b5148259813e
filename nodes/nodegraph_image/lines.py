"""Annotators that draw lines: scribbles, line art, soft edges and straight segments."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nodegraph import node
from nodegraph_image.detecting import Resolution, annotated
from nodegraph_image.picture import Bytes, Image

Floats = npt.NDArray[np.float32]


@node(device="cpu")
def scribble(
    image: Image,
    *,
    threshold: Annotated[int, Field(ge=1, le=255)] = 127,
    resolution: Resolution = 0,
) -> Image:
    """Turn a drawing of dark strokes on a light ground into white strokes on black.

    A pixel becomes white where its darkest channel is below `threshold`. For hand drawings; a
    photo needs `scribble_xdog`.

    Source: ControlNet 1.0, `gradio_scribble2image.py`.

    Args:
        image: the drawings
        threshold: what is darker counts as a stroke
        resolution: the shorter side while looking, a multiple of 64; 0 is the picture's own
    """
    return annotated(image, lambda x: _white(x.min(axis=2) < threshold), resolution)


@node(device="cpu")
def scribble_xdog(
    image: Image,
    *,
    threshold: Annotated[int, Field(ge=1, le=64)] = 32,
    resolution: Resolution = 0,
) -> Image:
    """Draw a photo as thick white strokes on black, where it darkens against its surroundings.

    The difference of two Gaussian blurs, sigma 5 less sigma 0.5, is taken in each channel; a pixel
    becomes a stroke where twice the smallest of the three is above `threshold`.

    Source: "scribble_xdog" of the annotators for ControlNet, threshold 32.

    Args:
        image: the pictures
        threshold: lower values give more strokes
        resolution: the shorter side while looking, a multiple of 64; 0 is the picture's own
    """
    return annotated(image, lambda x: _xdog(x, threshold), resolution)


@node(device="cpu")
def lineart(
    image: Image,
    *,
    sigma: Annotated[float, Field(gt=0, le=50)] = 6.0,
    threshold: Annotated[int, Field(ge=0, le=255)] = 8,
    resolution: Resolution = 0,
) -> Image:
    """Draw what is darker than its surroundings as white lines on black ("lineart standard").

    The picture is taken from its Gaussian blur; the smallest of the three channels counts, what is
    below `threshold` is dropped, and the rest is scaled so that a median line has the grey 127.

    Source: "lineart_standard" of the annotators for ControlNet 1.1.

    Args:
        image: the pictures
        sigma: how far surroundings reach, in pixels
        threshold: fainter lines are dropped
        resolution: the shorter side while looking, a multiple of 64; 0 is the picture's own
    """
    return annotated(image, lambda x: _lineart(x, sigma, threshold), resolution)


@node(device="cpu")
def soft_edge(
    image: Image,
    *,
    method: Literal["scharr", "pyramid_canny"] = "scharr",
    low: Annotated[int, Field(ge=0, le=255)] = 64,
    high: Annotated[int, Field(ge=0, le=255)] = 128,
    resolution: Resolution = 0,
) -> Image:
    """Mark edges softly, brighter where the picture changes faster.

    The soft edges that ControlNets were trained with come from networks (HED, PiDiNet). This is
    the nearest that needs no weights, and no system trained with it: the length of the Scharr
    gradient, or Canny's edges at several sizes, averaged.

    Args:
        image: the pictures
        method: how edges are found
        low: where an edge ends, for `pyramid_canny`
        high: where an edge begins, for `pyramid_canny`
        resolution: the shorter side while looking, a multiple of 64; 0 is the picture's own
    """
    if method == "scharr":
        return annotated(image, _scharr, resolution)
    return annotated(image, lambda x: _pyramid_canny(x, low, high), resolution)


@node(device="cpu")
def line_segments(
    image: Image,
    *,
    shortest: Annotated[float, Field(ge=0, le=1)] = 0.05,
    width: Annotated[int, Field(ge=1, le=20)] = 1,
    resolution: Resolution = 0,
) -> Image:
    """Draw straight line segments, white on black, for ControlNets trained on M-LSD or Hough lines.

    Segments are found by OpenCV's line segment detector on the grey picture, in the place of the
    network M-LSD.

    Source: von Gioi et al., LSD: a Line Segment Detector, 2012.

    Args:
        image: the pictures
        shortest: segments below this share of the shorter side are left out
        width: how thick they are drawn, in pixels
        resolution: the shorter side while looking, a multiple of 64; 0 is the picture's own
    """
    return annotated(image, lambda x: _segments(x, shortest, width), resolution)


def _white(where: npt.NDArray[np.bool_]) -> Bytes:
    return np.where(where, np.uint8(255), np.uint8(0))


def _blurred(x: npt.NDArray[np.float32], sigma: float) -> Floats:
    import cv2  # here, so that flows without it start sooner

    return np.asarray(cv2.GaussianBlur(x, (0, 0), sigma), np.float32)


def _xdog(x: Bytes, threshold: int) -> Bytes:
    pixels = x.astype(np.float32)
    difference = _blurred(pixels, 5.0) - _blurred(pixels, 0.5)  # > 0 where it is darker
    strength = np.clip(difference.min(axis=2), 0, 255) * 2
    return _white(strength > threshold)


def _lineart(x: Bytes, sigma: float, threshold: int) -> Bytes:
    pixels = x.astype(np.float32)
    lines = np.clip((_blurred(pixels, sigma) - pixels).min(axis=2), 0, 255)
    strong = lines[lines > threshold]
    scale = max(16.0, float(np.median(strong))) if strong.size else 16.0
    lines = np.where(lines < threshold, 0, lines) / scale * 127
    return np.asarray(np.clip(lines, 0, 255), np.uint8)


def _scharr(x: Bytes) -> Bytes:
    import cv2

    pixels = x.astype(np.float32)
    across, down = (cv2.Scharr(pixels, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    length = np.hypot(across, down).max(axis=2) / 16  # the kernel's weights on one side
    return np.clip(np.rint(length), 0, 255).astype(np.uint8)


def _pyramid_canny(x: Bytes, low: int, high: int) -> Bytes:
    import cv2

    height, width = x.shape[:2]
    total = np.zeros((height, width), np.float32)
    scales = (0.2, 0.4, 0.6, 0.8, 1.0)
    for scale in scales:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        edges = np.asarray(cv2.Canny(small, low, high), np.float32)
        total += cv2.resize(edges, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint(total / len(scales)), 0, 255).astype(np.uint8)


def _segments(x: Bytes, shortest: float, width: int) -> Bytes:
    import cv2

    canvas = np.zeros(x.shape[:2], np.uint8)
    if min(x.shape[:2]) < 3:
        return canvas  # the detector wants neighbours on both sides
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)
    found = cv2.createLineSegmentDetector().detect(grey)[0]
    least = shortest * min(x.shape[:2])
    for x0, y0, x1, y1 in [] if found is None else np.reshape(found, (-1, 4)):
        if np.hypot(x1 - x0, y1 - y0) >= least:
            ends = (round(float(x0)), round(float(y0))), (round(float(x1)), round(float(y1)))
            cv2.line(canvas, *ends, 255, width)
    return canvas
