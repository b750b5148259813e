"""Nodes that turn a picture into a hint."""

from typing import Annotated

import numpy as np
from pydantic import Field

from nodegraph import node
from nodegraph_image.picture import Bytes, Image, from_bytes, quantise

Threshold = Annotated[int, Field(ge=0, le=255)]


@node(device="cpu")
def canny(image: Image, *, low: Threshold = 100, high: Threshold = 200) -> Image:
    """Mark edges with the Canny detector, white on black.

    An edge begins where the picture changes faster than `high` and goes on while it changes faster
    than `low`: lower values give more lines. The result is bit for bit that of `cv2.Canny` on the
    8-bit RGB picture, which is what ControlNets for edges were trained with.

    Source: Canny, A Computational Approach to Edge Detection, 1986; thresholds of ControlNet 1.0.

    Args:
        image: the pictures, each treated by itself
        low: where an edge that has begun ends
        high: where an edge begins
    """
    edges = np.stack([_edges(picture, low, high) for picture in quantise(image.pixels)])
    return Image(from_bytes(np.repeat(edges[..., None], 3, axis=3)))


def _edges(picture: Bytes, low: int, high: int) -> Bytes:
    """Find edges on one picture (H, W, 3), 0 or 255 in (H, W)."""
    import cv2  # here, so that flows without it start sooner

    return np.asarray(cv2.Canny(picture, low, high), np.uint8)


@node(device="cpu")
def invert(image: Image) -> Image:
    """Turn black into white and every colour into its opposite.

    For hints of the wrong polarity: the ControlNets for lines expect white lines on black.

    Args:
        image: the pictures
    """
    return Image(np.float32(1) - image.pixels)
