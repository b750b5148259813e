"""What annotators share: picture by picture, in bytes, at a resolution of their own."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from nodegraph_image.picture import MAX_PIXELS, Bytes, Image, from_bytes, quantise

Resolution = Annotated[int, Field(ge=0, le=4096, multiple_of=64)]
"""The shorter side while looking; 0 leaves a picture as it is."""


def annotated(image: Image, annotate: Callable[[Bytes], Bytes], resolution: int = 0) -> Image:
    """Annotate every picture by itself, (H, W, 3) bytes to (H, W) or (H, W, 3) bytes.

    With a resolution the result has that size, both sides rounded to multiples of 64.
    """
    return Image(from_bytes(np.stack([_rgb(annotate(x)) for x in at(image, resolution)])))


def at(image: Image, resolution: int) -> list[Bytes]:
    """Return the pictures as bytes (H, W, 3), scaled to a resolution.

    Source: ControlNet 1.0, `annotator/util.py`, `resize_image`: Lanczos up, area down.

    Raises:
        ValueError: the scaled pictures would be too large.
    """
    pictures = list(quantise(image.pixels))
    height, width = image.pixels.shape[1:3]
    if not resolution:
        return pictures
    ratio = resolution / min(height, width)
    size = tuple(max(64, round(side * ratio / 64) * 64) for side in (width, height))
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            f"resolution: {size[0]} x {size[1]} is more than {MAX_PIXELS:,} pixels; ask for less"
        )
    import cv2  # here, so that flows without it start sooner

    rule = cv2.INTER_LANCZOS4 if ratio > 1 else cv2.INTER_AREA
    return [np.asarray(cv2.resize(x, size, interpolation=rule), np.uint8) for x in pictures]


def _rgb(x: Bytes) -> Bytes:
    return np.repeat(x[..., None], 3, axis=2) if x.ndim == 2 else x
