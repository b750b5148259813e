"""Draws the sheet that `image.grid` makes: cells, labels and the room they need."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as pillow
from PIL import ImageColor, ImageDraw, ImageFont

from nodegraph_image.picture import MAX_PIXELS, Bytes

MOST_LINES = 500
"""Lines of a label, so that an endless one does not take endless time."""

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


def draw(
    pictures: Sequence[Bytes],
    labels: Sequence[str],
    titles: Sequence[str],
    across: int,
    style: Style,
) -> Bytes:
    """Return the sheet (H, W, 3) of pictures (h, w, 3), `across` of them in a row.

    There is a label for each picture and a title for each row; empty ones take no room.

    Raises:
        ValueError: the sheet could not be read again.
    """
    font = ImageFont.load_default(style.text_size)
    width = max(picture.shape[1] for picture in pictures)
    cells = [
        Cell(pillow.fromarray(x), wrap(text, font, width))
        for x, text in zip(pictures, labels, strict=True)
    ]
    whole = min(across, len(cells)) * (width + style.padding) - style.padding
    rows = [
        Row(cells[number * across :][:across], wrap(title, font, whole))
        for number, title in enumerate(titles)
    ]
    return np.asarray(_drawn(rows, font, style))


def wrap(text: str, font: Font, width: int) -> tuple[str, ...]:
    """Break a text into lines of at most `width` pixels, at spaces and within overlong words."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".lstrip()
        if len(longer) <= 4 * width and font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and font.getlength(word[: 4 * width]) > width:
            if len(lines) > MOST_LINES:
                raise ValueError(f"grid: a label of {len(text)} letters is too long; shorten it")
            fitting = _prefix(word, font, width)
            lines.append(word[:fitting])
            word = word[fitting:]
        line = word
    return (*lines, line) if line else tuple(lines)


def _prefix(word: str, font: Font, width: int) -> int:
    """Count the leading letters of a word that fit into `width` pixels, at least one."""
    most = 1
    while most < len(word) and font.getlength(word[:most]) <= width:
        most = min(2 * most, len(word))
    lengths = range(most + 1)
    fitting = bisect_right(lengths, float(width), key=lambda n: float(font.getlength(word[:n])))
    return max(1, fitting - 1)


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
