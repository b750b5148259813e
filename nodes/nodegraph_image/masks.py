"""Nodes that make and change masks."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nodegraph import node
from nodegraph_image.picture import MAX_PIXELS, Image, Mask

Floats = npt.NDArray[np.float32]
Side = Annotated[int, Field(ge=1, le=16384)]
Share = Annotated[float, Field(ge=0, le=1)]


@node(device="cpu")
def mask_shape(
    *,
    width: Side,
    height: Side,
    shape: Literal["rectangle", "ellipse"] = "rectangle",
    left: Share = 0.25,
    top: Share = 0.25,
    right: Share = 0.75,
    bottom: Share = 0.75,
) -> Mask:
    """Make a mask of a rectangle, or of the ellipse in it.

    The sides are shares of the picture, so that they hold for every size.

    Raises:
        ValueError: the sides are in the wrong order, or the mask is more than 67 megapixels.

    Args:
        width: the mask's width in pixels
        height: the mask's height in pixels
        shape: what is inside
        left: where it begins, a share of the width
        top: where it begins, a share of the height
        right: where it ends
        bottom: where it ends
    """
    if left >= right or top >= bottom:
        raise ValueError("mask_shape: it is empty; left has to be below right, top below bottom")
    if width * height > MAX_PIXELS:
        raise ValueError(f"mask_shape: {width} x {height} is more than {MAX_PIXELS:,} pixels")
    x = (np.arange(width, dtype=np.float32)[None] + 0.5) / width
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    if shape == "rectangle":
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    else:
        across = (2 * x - left - right) / (right - left)
        down = (2 * y - top - bottom) / (bottom - top)
        inside = across**2 + down**2 <= 1
    return Mask(inside.astype(np.float32)[None])


@node(device="cpu")
def mask_from_image(
    image: Image,
    *,
    channel: Literal["brightness", "red", "green", "blue"] = "brightness",
    above: Annotated[float | None, Field(ge=0, le=1)] = None,
) -> Mask:
    """Make a mask of pictures: white is inside.

    Args:
        image: the pictures
        channel: what decides; brightness is the mean of the three channels
        above: inside is what is brighter than this, and nothing is half inside; null keeps greys
    """
    if channel == "brightness":
        values = image.pixels.mean(axis=3)
    else:
        values = image.pixels[..., ("red", "green", "blue").index(channel)]
    if above is not None:
        values = (values > above).astype(np.float32)
    return Mask(np.clip(values, 0, 1))


@node(device="cpu")
def image_from_mask(mask: Mask) -> Image:
    """Show masks as grey pictures, white inside."""
    return Image(np.repeat(mask.values[..., None], 3, axis=3))


@node(device="cpu")
def mask_invert(mask: Mask) -> Mask:
    """Exchange inside and outside."""
    return Mask(np.float32(1) - mask.values)


@node(device="cpu")
def mask_combine(
    a: Mask, b: Mask, *, how: Literal["union", "intersection", "difference"] = "union"
) -> Mask:
    """Put two masks together: inside of either, of both, or of the first and not the second.

    Raises:
        ValueError: their sizes differ.
    """
    one, two = together("mask_combine", a.values, b.values)
    if how == "union":
        return Mask(np.maximum(one, two))
    return Mask(np.minimum(one, two if how == "intersection" else np.float32(1) - two))


@node(device="cpu")
def mask_grow(mask: Mask, *, pixels: Annotated[int, Field(ge=-1024, le=1024)] = 8) -> Mask:
    """Grow masks by some pixels in all directions; a negative number shrinks them.

    Of a grey mask each of 255 levels is grown by itself where it is grown by more than 8 pixels.

    Args:
        mask: the masks
        pixels: the radius of the disc that is added or taken away
    """
    if not pixels:
        return mask
    if pixels < 0:  # to shrink is to grow what is outside
        return mask_invert(mask_grow(mask_invert(mask), pixels=-pixels))
    return Mask(np.stack([_grown(each, pixels) for each in mask.values]))


@node(device="cpu")
def mask_blur(mask: Mask, *, sigma: Annotated[float, Field(gt=0, le=500)] = 4.0) -> Mask:
    """Feather masks with a Gaussian of `sigma` pixels."""
    import cv2

    soft = [np.asarray(cv2.GaussianBlur(x, (0, 0), sigma), np.float32) for x in mask.values]
    return Mask(np.clip(np.stack(soft), 0, 1, dtype=np.float32))


def _grown(values: Floats, radius: int) -> Floats:
    """Return the largest value within a disc around each pixel of (H, W)."""
    import cv2  # here, so that flows without it start sooner

    levels = np.unique(values[values > 0])
    if radius <= 8 and len(levels) > 1:
        steps = np.arange(-radius, radius + 1)
        disc = (steps**2 + steps[:, None] ** 2 <= radius**2).astype(np.uint8)
        return np.asarray(cv2.dilate(values, disc), np.float32)
    if len(levels) > 255:
        values = np.asarray(np.rint(values * np.float32(255)) / np.float32(255), np.float32)
        levels = np.unique(values[values > 0])
    grown = np.zeros_like(values)
    for level in levels:  # from below: a higher one covers it
        outside = (values < level).astype(np.uint8)
        far = np.asarray(
            cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
        )
        grown[far <= radius + 1e-4] = level
    return grown


def together(place: str, *values: Floats) -> list[Floats]:
    """Return arrays (B, H, W, ...) of one height, width and batch; a batch of one is repeated.

    Raises:
        ValueError: they do not match.
    """
    sizes = {each.shape[1:3] for each in values}
    batches = {each.shape[0] for each in values} - {1}
    if len(sizes) > 1:
        said = " and ".join(f"{each.shape[2]} x {each.shape[1]}" for each in values)
        raise ValueError(f"{place}: the sizes {said} differ; resize one of them")
    if len(batches) > 1:
        said = " and ".join(str(each.shape[0]) for each in values)
        raise ValueError(f"{place}: batches of {said}; give one for all, or as many of each")
    count = batches.pop() if batches else 1
    return [np.broadcast_to(each, (count, *each.shape[1:])) for each in values]
