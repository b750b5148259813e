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
from nodegraph_image.reading import MAX_PIXELS
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


@dataclass(frozen=True, slots=True)
class Row:
    """Cells side by side, with the lines of the row's own label."""

    cells: Sequence[Cell]
    lines: tuple[str, ...]


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
    pictures = [_sized(pixels, size) for image in images for pixels in image.pixels]
    if not pictures:
        raise ValueError("grid: there are no pictures; give at least one in 'images'")
    across = columns or math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    _refuse_surplus("labels", len(labels), "pictures", len(pictures))
    _refuse_surplus("row_labels", len(row_labels), "rows", down)
    font = ImageFont.load_default(text_size)
    width = max(picture.width for picture in pictures)
    texts = [*labels, *[""] * (len(pictures) - len(labels))]
    cells = [Cell(x, wrap(text, font, width)) for x, text in zip(pictures, texts, strict=True)]
    whole = min(across, len(cells)) * (width + padding) - padding
    titles = [*row_labels, *[""] * (down - len(row_labels))]
    rows = [
        Row(cells[number * across :][:across], wrap(title, font, whole))
        for number, title in enumerate(titles)
    ]
    sheet = _drawn(rows, font, Style(padding, text_size, background, text_color))
    return Image(from_bytes(np.asarray(sheet))[None])


def _refuse_surplus(port: str, given: int, things: str, there: int) -> None:
    if given > there:
        raise ValueError(f"grid: {given} {port} for {there} {things}; give at most one for each")


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


def _drawn(rows: Sequence[Row], font: Font, style: Style) -> pillow.Image:
    """Draw the rows below each other, each as high as its pictures and longest label need."""
    width, height = _cell_size(rows)
    heights = [
        _text_height(len(row.lines), style)
        + height
        + _text_height(max(len(cell.lines) for cell in row.cells), style)
        for row in rows
    ]
    across = style.padding + len(rows[0].cells) * (width + style.padding)
    down = style.padding + sum(heights) + len(rows) * style.padding
    if across * down > MAX_PIXELS:
        raise ValueError(
            f"grid: a sheet of {across} x {down} is more than {MAX_PIXELS:,} pixels; "
            "set 'size' to shrink the pictures"
        )
    sheet = pillow.new("RGB", (across, down), ImageColor.getrgb(style.background))
    pen = Pen(sheet, font, style)
    top = style.padding
    for row, row_height in zip(rows, heights, strict=True):
        pen.text(row.lines, (style.padding, top), "la")
        below = top + _text_height(len(row.lines), style)
        for column, cell in enumerate(row.cells):
            left = style.padding + column * (width + style.padding)
            spare = (width - cell.picture.width) // 2, (height - cell.picture.height) // 2
            sheet.paste(cell.picture, (left + spare[0], below + spare[1]))
            pen.text(cell.lines, (left + width / 2, below + height + style.text_size // 3), "ma")
        top += row_height + style.padding
    return sheet


class Pen:
    """Writes lines of text on a sheet."""

    def __init__(self, sheet: pillow.Image, font: Font, style: Style) -> None:
        self._draw = ImageDraw.Draw(sheet)
        self._font = font
        self._style = style

    def text(self, lines: Sequence[str], at: tuple[float, float], anchor: str) -> None:
        """Write lines below each other; `anchor` says where `at` is, as Pillow names it."""
        for number, line in enumerate(lines):
            place = (at[0], at[1] + number * _leading(self._style))
            self._draw.text(place, line, self._style.text_color, self._font, anchor=anchor)


def _cell_size(rows: Sequence[Row]) -> tuple[int, int]:
    pictures = [cell.picture for row in rows for cell in row.cells]
    return max(p.width for p in pictures), max(p.height for p in pictures)


def _leading(style: Style) -> int:
    return round(style.text_size * 1.3)


def _text_height(lines: int, style: Style) -> int:
    """Return how many pixels some lines need, with a little air; none need none."""
    return lines * _leading(style) + style.text_size // 3 if lines else 0
