"""A contact sheet: the pictures of a sweep, small, with what each was made from."""

import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from .writing import write_whole

_CELL: Final = 256
_EDGE: Final = 8
_LINE: Final = 18
_LARGEST: Final = 8192
"""Pixels of a side of the sheet; the pictures in it shrink until it fits."""
_PAPER: Final = "white"
_INK: Final = "black"
_EMPTY: Final = "#dddddd"


def write_sheet(
    path: Path, pictures: Sequence[Path | None], columns: Sequence[str], rows: Sequence[str]
) -> None:
    """Write pictures, row by row, with a label for each column and each row.

    Columns of a single row are broken into several, with the label above each picture. Where there
    is no picture, a grey field says so. No more than one picture is held at once.

    Raises:
        OSError: the sheet cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    single = len(rows) == 1
    wide = min(len(columns), max(1, math.ceil(math.sqrt(len(columns))))) if single else len(columns)
    high = math.ceil(len(columns) / wide) if single else len(rows)
    font = ImageFont.load_default(13)
    margin = 0 if single else min(240, max(int(font.getlength(row)) for row in rows) + _EDGE)
    largest = next((max(small.size) for small in _each(pictures)), _CELL)
    cell = min(largest, _fit(wide, margin, 0), _fit(high, _LINE, _LINE if single else 0))
    step_x, step_y = cell + _EDGE, cell + _EDGE + (_LINE if single else 0)
    size = margin + wide * step_x + _EDGE, _LINE + high * step_y + _EDGE
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        down, across = divmod(index, wide)
        x, y = margin + _EDGE + across * step_x, _LINE + _EDGE + down * step_y
        label = columns[index] if single else columns[across] if down == 0 else ""
        draw.text((x, y - _LINE), _cut(label, cell, font), _INK, font)
        if not single and across == 0:
            draw.text((_EDGE, y + cell // 2), _cut(rows[down], margin, font), _INK, font)
        sheet.paste(_EMPTY, (x, y, x + cell, y + cell))
        small = _small(picture, cell)
        if small is None:
            draw.text((x + _EDGE, y + _EDGE), _cut("no picture", cell, font), _INK, font)
        else:
            sheet.paste(small, (x + (cell - small.width) // 2, y + (cell - small.height) // 2))
    data = BytesIO()
    sheet.save(data, "PNG")
    write_whole(path, data.getvalue())


def _fit(count: int, before: int, each: int) -> int:
    return max(4, (_LARGEST - before - _EDGE) // count - _EDGE - each)


def _each(pictures: Sequence[Path | None]) -> Iterator[Any]:
    small = (_small(picture, _CELL) for picture in pictures)
    return (each for each in small if each is not None)


def _small(path: Path | None, cell: int) -> Any:
    """Return a picture that fits into a cell, or None where none can be read."""
    from PIL import Image

    if path is None:
        return None
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    small.thumbnail((cell, cell))
    return small


def _cut(text: str, width: int, font: Any) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text
