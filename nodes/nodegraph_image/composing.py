"""Nodes that put pictures together, cut them and pad them."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nodegraph import node
from nodegraph_image.masks import together
from nodegraph_image.picture import MAX_PIXELS, Image, Mask

Floats = npt.NDArray[np.float32]
Margin = Annotated[int, Field(ge=0, le=8192)]
Share = Annotated[float, Field(ge=0, le=1)]


class Padded(NamedTuple):
    """Larger pictures, and a mask of what is new in them."""

    image: Image
    mask: Mask


@node(device="cpu")
def composite(below: Image, above: Image, mask: Mask) -> Image:
    """Lay one picture over another where a mask says so; half inside is half of each.

    Raises:
        ValueError: sizes or batches differ.

    Args:
        below: what shows outside of the mask
        above: what shows inside of it
        mask: where the upper picture shows
    """
    low, high, inside = together("composite", below.pixels, above.pixels, mask.values)
    share = inside[..., None]
    mixed = low * (np.float32(1) - share) + high * share
    return Image(np.clip(mixed, 0, 1, dtype=np.float32))


@node(device="cpu")
def erase(image: Image, mask: Mask, *, grey: Share = 0.0) -> Image:
    """Paint the inside of a mask in one grey, as inpainting hints of some models want it.

    The inpainting ControlNet of 1.1 wants -1 there, which no picture can hold: give the mask to
    `erase` of `diffusion.apply_controlnet` for it.

    Args:
        image: the pictures
        mask: what is painted over, wherever it is above one half
        grey: 0 black to 1 white
    """
    pixels, inside = together("erase", image.pixels, mask.values)
    return Image(np.where(inside[..., None] > 0.5, np.float32(grey), pixels))


@node(device="cpu")
def crop(
    image: Image,
    *,
    left: Margin = 0,
    top: Margin = 0,
    width: Annotated[int, Field(ge=1, le=16384)],
    height: Annotated[int, Field(ge=1, le=16384)],
) -> Image:
    """Cut a rectangle out of pictures; all numbers are pixels.

    Raises:
        ValueError: the rectangle does not lie in the picture.
    """
    down, across = image.pixels.shape[1:3]
    if left + width > across or top + height > down:
        raise ValueError(
            f"crop: {width} x {height} at {left}, {top} leaves a picture of {across} x {down}; "
            "make it smaller"
        )
    return Image(image.pixels[:, top : top + height, left : left + width])


@node(device="cpu")
def flip(image: Image, *, how: Literal["left_right", "top_bottom"] = "left_right") -> Image:
    """Mirror pictures."""
    return Image(image.pixels[:, :, ::-1] if how == "left_right" else image.pixels[:, ::-1])


@node(device="cpu")
def pad(
    image: Image,
    *,
    left: Margin = 0,
    top: Margin = 0,
    right: Margin = 0,
    bottom: Margin = 0,
    fill: Literal["edge", "reflect", "grey"] = "edge",
    grey: Share = 0.5,
    overlap: Margin = 0,
) -> Padded:
    """Enlarge pictures on their sides, to paint on beyond their edges, and say what is new.

    Raises:
        ValueError: too much is added, or a mirror image would need more than there is.

    Args:
        image: the pictures
        left: pixels to add
        top: pixels to add
        right: pixels to add
        bottom: pixels to add
        fill: "edge" repeats the last pixels, "reflect" mirrors, "grey" is plain
        grey: of a plain filling, 0 black to 1 white
        overlap: how far the mask reaches into the old picture, so that seams can be painted over
    """
    count, height, width, _ = image.pixels.shape
    size = (count, height + top + bottom, width + left + right)
    if size[1] * size[2] > MAX_PIXELS:
        raise ValueError(f"pad: {size[2]} x {size[1]} is more than {MAX_PIXELS:,} pixels")
    if fill == "reflect" and (max(left, right) >= width or max(top, bottom) >= height):
        raise ValueError("pad: a mirror image cannot be larger than the picture; use fill 'edge'")
    sides = ((0, 0), (top, bottom), (left, right), (0, 0))
    if fill == "grey":
        pixels = np.pad(image.pixels, sides, constant_values=np.float32(grey))
    else:
        pixels = np.pad(image.pixels, sides, "edge" if fill == "edge" else "reflect")
    new = np.ones(size, np.float32)
    rows = _kept(top, height, bottom, overlap)
    columns = _kept(left, width, right, overlap)
    new[:, rows, columns] = 0
    return Padded(Image(pixels), Mask(new))


def _kept(before: int, length: int, after: int, overlap: int) -> slice:
    """Return where along a side the old picture is not to be painted over."""
    start = before + overlap * (before > 0)
    return slice(start, max(start, before + length - overlap * (after > 0)))


@node(device="cpu")
def batch(images: Annotated[list[Image], Field(min_length=1)]) -> Image:
    """Make one batch of pictures of one size, in the order given.

    Raises:
        ValueError: their sizes differ.
    """
    sizes = {image.pixels.shape[1:3] for image in images}
    if len(sizes) > 1:
        said = " and ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise ValueError(f"batch: the pictures are {said}; resize them to one size")
    return Image(np.concatenate([image.pixels for image in images]))


@node(device="cpu")
def pick(image: Image, *, number: Annotated[int, Field(ge=1)] = 1) -> Image:
    """Take one picture out of a batch, counted from 1.

    Raises:
        ValueError: there are fewer.
    """
    if number > len(image.pixels):
        raise ValueError(f"pick: number {number} of a batch of {len(image.pixels)}; ask for less")
    return Image(image.pixels[number - 1 : number])


@node(device="cpu")
def unbatch(image: Image) -> list[Image]:
    """Take a batch apart into a list of single pictures, such as to `map` over them."""
    return [Image(each[None]) for each in image.pixels]


@node(device="cpu")
def rotate(image: Image, *, turn: Literal["right", "left", "over"] = "right") -> Image:
    """Turn pictures by a quarter to the right or left, or over, by a half."""
    quarters = {"right": -1, "left": 1, "over": 2}[turn]
    return Image(np.ascontiguousarray(np.rot90(image.pixels, quarters, axes=(1, 2))))
