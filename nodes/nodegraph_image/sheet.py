"""The node that puts several pictures on one sheet, with labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image as pillow
from PIL import ImageColor, ImageDraw, ImageFont
from pydantic import Field

from nodegraph import node
from nodegraph_image.picture import Floats, Image, from_bytes, quantise
from nodegraph_image.resizing import scale

Colour = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Style:
    """How a sheet looks: distances in pixels, colours as #rrggbb."""

    padding: int
    text_size: int
    background: str
    text_color: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture with the lines of its label."""

    picture: pillow.Image
    lines: tuple[str, ...]


@node(device="cpu")
def grid(
    images: list[Image],
    *,
    labels: list[str] = [],  # noqa: B006 (never changed; a node's defaults are JSON)
    columns: Annotated[int, Field(ge=0, le=100)] = 0,
    size: Annotated[int, Field(ge=0, le=4096)] = 0,
    padding: Annotated[int, Field(ge=0, le=256)] = 8,
    text_size: Annotated[int, Field(ge=6, le=200)] = 13,
    background: Colour = "#ffffff",
    text_color: Colour = "#222222",
) -> Image:
    """Put pictures on one contact sheet, row by row, each with its label below.

    The pictures of a batch become cells of their own. Pictures of different sizes keep their
    proportions and are centred in cells of one size.

    Raises:
        ValueError: there are no pictures, or more labels than pictures.

    Args:
        images: what to show
        labels: one text for each picture; long ones wrap, and the last pictures may go without
        columns: pictures in a row; 0 makes the sheet about square
        size: the longer side of every picture in pixels; 0 leaves pictures as they are
        padding: empty pixels around every cell
        text_size: the size of the letters in pixels
        background: the sheet's colour
        text_color: the labels' colour
    """
    pictures = [_sized(pixels, size) for image in images for pixels in image.pixels]
    if not pictures:
        raise ValueError("grid: there are no pictures; give at least one in 'images'")
    if len(labels) > len(pictures):
        raise ValueError(
            f"grid: {len(labels)} labels for {len(pictures)} pictures; give at most one for each"
        )
    font = ImageFont.load_default(text_size)
    width = max(picture.width for picture in pictures)
    texts = [*labels, *[""] * (len(pictures) - len(labels))]
    cells = [Cell(x, wrap(text, font, width)) for x, text in zip(pictures, texts, strict=True)]
    across = columns or math.ceil(math.sqrt(len(cells)))
    rows = [cells[i : i + across] for i in range(0, len(cells), across)]
    sheet = _drawn(rows, font, Style(padding, text_size, background, text_color))
    return Image(from_bytes(np.asarray(sheet))[None])


def wrap(text: str, font: Font, width: int) -> tuple[str, ...]:
    """Break a text into lines of at most `width` pixels, at spaces and within overlong words."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".lstrip()
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and font.getlength(word) > width:
            fitting = _prefix(word, font, width)
            lines.append(word[:fitting])
            word = word[fitting:]
        line = word
    return (*lines, line) if line else tuple(lines)


def _prefix(word: str, font: Font, width: int) -> int:
    """Count the leading letters of a word that fit into `width` pixels, at least one."""
    for count in range(1, len(word)):
        if font.getlength(word[: count + 1]) > width:
            return count
    return len(word)


def _sized(pixels: Floats, size: int) -> pillow.Image:
    height, width = pixels.shape[:2]
    if size:
        ratio = size / max(height, width)
        pixels = scale(pixels, max(1, round(width * ratio)), max(1, round(height * ratio)))
    return pillow.fromarray(quantise(pixels))


def _drawn(rows: Sequence[Sequence[Cell]], font: Font, style: Style) -> pillow.Image:
    """Draw the cells; a row is as high as its longest label needs."""
    width = max(cell.picture.width for row in rows for cell in row)
    height = max(cell.picture.height for row in rows for cell in row)
    leading = round(style.text_size * 1.3)
    labels = [max(len(cell.lines) for cell in row) * leading for row in rows]
    gaps = [label and label + style.text_size // 3 for label in labels]
    size = (
        style.padding + len(rows[0]) * (width + style.padding),
        style.padding + sum(height + gap + style.padding for gap in gaps),
    )
    sheet = pillow.new("RGB", size, ImageColor.getrgb(style.background))
    pen = ImageDraw.Draw(sheet)
    top = style.padding
    for row, gap in zip(rows, gaps, strict=True):
        for column, cell in enumerate(row):
            left = style.padding + column * (width + style.padding)
            spare = (width - cell.picture.width) // 2, (height - cell.picture.height) // 2
            sheet.paste(cell.picture, (left + spare[0], top + spare[1]))
            at = (left + width / 2, top + height + style.text_size // 3)
            for number, line in enumerate(cell.lines):
                place = (at[0], at[1] + number * leading)
                pen.text(place, line, style.text_color, font, anchor="ma")
        top += height + gap + style.padding
    return sheet
