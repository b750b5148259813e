"""The node that puts several pictures on one sheet, with labels."""

import math
from typing import Annotated

from pydantic import Field

from nodegraph import node
from nodegraph_image.picture import Bytes, Floats, Image, from_bytes, quantise
from nodegraph_image.resizing import scale

Colour = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]


@node(device="cpu")
def grid(
    images: list[Image],
    *,
    labels: list[str] = [],  # noqa: B006 (never changed; a node's defaults are JSON)
    row_labels: list[str] = [],  # noqa: B006
    columns: Annotated[int, Field(ge=0, le=100)] = 0,
    size: Annotated[int, Field(ge=0, le=4096)] = 0,
    padding: Annotated[int, Field(ge=0, le=256)] = 8,
    text_size: Annotated[int, Field(ge=6, le=200)] = 13,
    background: Colour = "#ffffff",
    text_color: Colour = "#222222",
) -> Image:
    """Put pictures on one contact sheet, row by row, with labels.

    The pictures of a batch become cells of their own. Pictures of different sizes keep their
    proportions and are centred in cells of one size.

    Raises:
        ValueError: there are no pictures, more labels than pictures or rows, or the sheet would
            have more than 67 megapixels.

    Args:
        images: what to show
        labels: a text below each picture; long ones wrap, and the last pictures may go without
        row_labels: a text above each row, over its whole width
        columns: pictures in a row; 0 makes the sheet about square
        size: the longer side of every picture in pixels; 0 leaves pictures as they are
        padding: empty pixels around every cell
        text_size: the size of the letters in pixels
        background: the sheet's colour
        text_color: the labels' colour
    """
    from nodegraph_image.drawing import Style, draw  # with fonts, when a sheet is drawn

    pictures = [_sized(pixels, size) for image in images for pixels in image.pixels]
    if not pictures:
        raise ValueError("grid: there are no pictures; give at least one in 'images'")
    across = columns or math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    _refuse_surplus("labels", len(labels), "pictures", len(pictures))
    _refuse_surplus("row_labels", len(row_labels), "rows", down)
    texts = [*labels, *[""] * (len(pictures) - len(labels))]
    titles = [*row_labels, *[""] * (down - len(row_labels))]
    style = Style(padding, text_size, background, text_color)
    return Image(from_bytes(draw(pictures, texts, titles, across, style))[None])


def _refuse_surplus(port: str, given: int, things: str, there: int) -> None:
    if given > there:
        raise ValueError(f"grid: {given} {port} for {there} {things}; give at most one for each")


def _sized(pixels: Floats, size: int) -> Bytes:
    height, width = pixels.shape[:2]
    if size:
        ratio = size / max(height, width)
        pixels = scale(pixels, max(1, round(width * ratio)), max(1, round(height * ratio)))
    return quantise(pixels)
