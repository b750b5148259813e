"""The node that puts several pictures on one sheet, with labels."""

import math
from typing import Annotated

from pydantic import Field

from nodegraph import node
from nodegraph_image.picture import MAX_PIXELS, Floats, Image, from_bytes, quantise
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

    given = [pixels for image in images for pixels in image.pixels]
    if not given:
        raise ValueError("grid: there are no pictures; give at least one in 'images'")
    area = sum(math.prod(_sides(pixels, size)) for pixels in given)
    if area > MAX_PIXELS:  # before any is scaled
        raise ValueError(
            f"grid: a sheet of at least {area:,} is more than {MAX_PIXELS:,} pixels; "
            "set 'size' to shrink the pictures"
        )
    pictures = [quantise(scale(pixels, *_sides(pixels, size))) for pixels in given]
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


def _sides(pixels: Floats, size: int) -> tuple[int, int]:
    """Return width and height of a picture when its longer side is `size`, or as it is."""
    height, width = pixels.shape[:2]
    ratio = size / max(height, width) if size else 1
    return max(1, round(width * ratio)), max(1, round(height * ratio))
