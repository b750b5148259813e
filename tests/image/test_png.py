"""PNGs made by hand: greys of few bits of which one is transparent, and interlaced pictures."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nodegraph_image import load

Array = npt.NDArray[Any]
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))


def write_png(
    path: Path, shape: tuple[int, int], rows: bytes, *, depth: int = 8, interlaced: int = 0,
    clear: int | None = None,
) -> None:  # fmt: skip
    """Write a grey PNG of rows that are packed already, each with the byte of its filter."""
    height, width = shape
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if clear is not None:
        chunks.insert(1, (b"tRNS", struct.pack(">H", clear)))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        parts.append(struct.pack(">I", len(body)) + kind + body)
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    path.write_bytes(b"".join(parts))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_grey_that_a_png_calls_transparent_is_outside(tmp_path: Path, depth: int) -> None:
    most = 2**depth - 1
    greys = np.linspace(0, most, 16).astype(int)
    bits = "".join(f"{grey:0{depth}b}" for grey in greys)
    packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    for clear in {int(grey) for grey in greys}:
        write_png(tmp_path / "x.png", (1, 16), b"\0" + packed, depth=depth, clear=clear)
        pixels, mask = load(tmp_path / "x.png")
        np.testing.assert_allclose(pixels.pixels[0, 0, :, 1], greys / most, atol=1e-7)
        np.testing.assert_array_equal(mask.values[0, 0], greys != clear)


def test_bits_of_a_transparent_grey_above_the_depth_say_nothing(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", (1, 4), b"\0\x1b", depth=2, clear=0xFFF2)
    assert load(tmp_path / "x.png").mask.values.tolist() == [[[1, 1, 0, 1]]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 4), (8, 8), (9, 13)])
def test_an_interlaced_picture_is_read_whole(tmp_path: Path, shape: tuple[int, int]) -> None:
    greys = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    parts: list[Array] = [greys[y::down, x::across] for x, y, across, down in _PASSES]
    rows = [b"\0" + row.tobytes() for part in [*parts, greys[1::2]] for row in part if row.size]
    write_png(tmp_path / "x.png", shape, b"".join(rows), interlaced=1)
    np.testing.assert_allclose(
        load(tmp_path / "x.png").image.pixels[0, ..., 0] * 255, greys, atol=1e-4
    )
    write_png(tmp_path / "x.png", shape, b"".join(rows)[:-1], interlaced=1)
    with pytest.raises(ValueError, match="is truncated"):
        load(tmp_path / "x.png")
