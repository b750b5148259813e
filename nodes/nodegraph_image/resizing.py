"""The nodes that change the size of pictures and masks."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nodegraph import node
from nodegraph_image.picture import MAX_PIXELS, Image, Mask

Floats = npt.NDArray[np.float32]
Side = Annotated[int, Field(ge=1, le=16384)]
Fit = Literal["stretch", "crop", "pad"]
Interpolation = Literal["auto", "nearest", "linear", "cubic", "lanczos", "area"]

_RULES = {
    "nearest": "INTER_NEAREST_EXACT",  # INTER_NEAREST is off by half a pixel
    "linear": "INTER_LINEAR",
    "cubic": "INTER_CUBIC",
    "lanczos": "INTER_LANCZOS4",
    "area": "INTER_AREA",
}


@node(device="cpu")
def resize(
    image: Image,
    *,
    width: Side,
    height: Side,
    fit: Fit = "stretch",
    interpolation: Interpolation = "auto",
    fill: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Image:
    """Change the size of pictures.

    `stretch` ignores the proportions, `crop` keeps them and cuts off what sticks out on both sides,
    `pad` keeps them and fills what stays empty. Hints with hard colours want `nearest`; `auto`
    takes `area` where the picture gets smaller and `lanczos` otherwise.

    Args:
        image: the pictures
        width: the new width in pixels
        height: the new height in pixels
        fit: what happens to the proportions
        interpolation: how new pixels are made from old ones
        fill: the grey around a padded picture, 0 black to 1 white

    Raises:
        ValueError: the size is more than can be read again, 67 megapixels.
    """
    return Image(_all("resize", image.pixels, (width, height), fit, interpolation, fill))


@node(device="cpu")
def mask_resize(
    mask: Mask,
    *,
    width: Side,
    height: Side,
    fit: Fit = "stretch",
    interpolation: Interpolation = "auto",
    fill: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Mask:
    """Change the size of masks, such as to that of a picture.

    `stretch` ignores the proportions, `crop` keeps them and cuts off what sticks out on both sides,
    `pad` keeps them and fills what stays empty. `auto` takes `area` where the mask gets smaller and
    `linear` otherwise; `nearest` keeps hard edges hard.

    Args:
        mask: the masks
        width: the new width in pixels
        height: the new height in pixels
        fit: what happens to the proportions
        interpolation: how new pixels are made from old ones
        fill: what stands around a padded mask, 0 outside to 1 inside

    Raises:
        ValueError: the size is more than can be read again, 67 megapixels.
    """
    if interpolation == "auto":
        smaller = width * height < mask.values[0].size
        interpolation = "area" if smaller else "linear"
    grey = np.repeat(mask.values[..., None], 3, axis=3)
    resized = _all("mask_resize", grey, (width, height), fit, interpolation, fill)
    return Mask(np.ascontiguousarray(resized[..., 0]))


def _all(
    place: str,
    pixels: Floats,
    size: tuple[int, int],
    fit: Fit,
    interpolation: Interpolation,
    fill: float,
) -> Floats:
    """Bring pictures (B, H, W, 3) to a size (width, height)."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{place}: {width} x {height} is more than {MAX_PIXELS:,} pixels; ask for less"
        )
    return np.stack([_fit(x, width, height, fit, interpolation, fill) for x in pixels])


def _fit(
    x: Floats, width: int, height: int, fit: Fit, interpolation: Interpolation, fill: float
) -> Floats:
    """Bring one picture (H, W, 3) to (height, width, 3)."""
    if fit == "stretch":
        return scale(x, width, height, interpolation)
    if fit == "crop":
        return scale(_middle(x, width, height), width, height, interpolation)
    ratio = min(width / x.shape[1], height / x.shape[0])
    across = max(1, round(x.shape[1] * ratio))
    down = max(1, round(x.shape[0] * ratio))
    canvas = np.full((height, width, 3), fill, np.float32)
    top, left = (height - down) // 2, (width - across) // 2
    canvas[top : top + down, left : left + across] = scale(x, across, down, interpolation)
    return canvas


def _middle(x: Floats, width: int, height: int) -> Floats:
    """Cut out the largest middle part of the proportions width : height, to a whole pixel.

    Cut before it is scaled: a 1 x 5000 strip scaled first would need gigabytes on the way.
    """
    ratio = max(width / x.shape[1], height / x.shape[0])
    across, down = max(1, round(width / ratio)), max(1, round(height / ratio))
    top, left = (x.shape[0] - down) // 2, (x.shape[1] - across) // 2
    return x[top : top + down, left : left + across]


def scale(x: Floats, width: int, height: int, interpolation: Interpolation = "auto") -> Floats:
    """Scale one picture (H, W, 3) to (height, width, 3); overshoot is clipped to [0, 1]."""
    if x.shape[:2] == (height, width):
        return x
    if interpolation == "auto":
        smaller = width * height < x.shape[1] * x.shape[0]
        interpolation = "area" if smaller else "lanczos"
    import cv2  # here, so that flows without it start sooner

    rule: int = getattr(cv2, _RULES[interpolation])
    scaled = cv2.resize(x, (width, height), interpolation=rule)
    clipped: Floats = np.clip(scaled, 0, 1, dtype=np.float32)
    return clipped
