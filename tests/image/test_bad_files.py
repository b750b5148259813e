"""Files that are no pictures: one `ValueError` that names the file, never another exception."""

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as pillow

from nodegraph_image import load

NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def encoded(form: str) -> bytes:
    stream = BytesIO()
    pillow.fromarray(NOISE).save(stream, format=form)
    return stream.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in (*chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(body)) + kind + body)
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def header(
    width: int, height: int, depth: int = 8, colour: int = 2, interlaced: int = 0
) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)


def deep_png() -> bytes:
    return cv2.imencode(".png", NOISE.astype(np.uint16) * 257)[1].tobytes()


def extended_webp(width: int, height: int) -> bytes:
    """A WebP file that promises a canvas of some size."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    stream = BytesIO()
    pillow.new("RGB", (1, 1)).save(stream, format="WEBP", lossless=True)
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides + stream.getvalue()[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "text": (lambda: b"not a picture", "not a PNG, JPEG, WebP or GIF picture"),
    "bmp": (lambda: encoded("BMP"), "not a PNG, JPEG, WebP or GIF picture"),
    "tiff": (lambda: encoded("TIFF"), "not a PNG, JPEG, WebP or GIF picture"),
    "wave": (lambda: b"RIFF\x24\0\0\0WAVEfmt ", "not a PNG, JPEG, WebP or GIF picture"),
    "png signature alone": (lambda: encoded("PNG")[:8], "damaged or incomplete"),
    "png cut in the header": (lambda: encoded("PNG")[:20], "damaged or incomplete"),
    "png cut in half": (lambda: encoded("PNG")[:3000], "damaged or incomplete"),
    "png without a header": (lambda: png((b"IDAT", b"")), "damaged or incomplete"),
    "png without data": (lambda: png(header(4, 4)), "damaged or incomplete"),
    "png with junk for data": (lambda: png(header(4, 4), (b"IDAT", b"junk")), "damaged"),
    "png with a wrong checksum": (lambda: flipped(encoded("PNG"), 30), "damaged or incomplete"),
    "png of unknown depth": (lambda: png(header(4, 4, depth=3)), "damaged or incomplete"),
    "png of no width": (lambda: png(header(0, 4), (b"IDAT", zlib.compress(b""))), "damaged"),
    "png text that unpacks to 50 MB": (
        lambda: png(header(4, 4), (b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
        "damaged or incomplete",
    ),
    "png of a palette that is not there": (
        lambda: png(header(4, 1, 2, 3), (b"IDAT", zlib.compress(b"\0\x1b"))),
        "it has no palette",
    ),
    "png with a chunk before its header": (
        lambda: png((b"tEXt", b"a\0b"), header(2, 1, 8, 0), (b"IDAT", zlib.compress(bytes(3)))),
        "it does not begin with its header",
    ),
    "png whose rows end early": (
        lambda: png(header(4, 4), (b"IDAT", zlib.compress(bytes(26)))),
        "it is truncated: 26 of 52 bytes of its rows are there",
    ),
    "interlaced png whose rows end early": (
        lambda: png(header(4, 4, 8, 0, interlaced=1), (b"IDAT", zlib.compress(bytes(2)))),
        "it is truncated: 2 of 23 bytes",
    ),
    "deep png whose rows end early": (
        lambda: png(header(4, 4, 16), (b"IDAT", zlib.compress(bytes(50)))),
        "it is truncated: 50 of 100 bytes",
    ),
    "deep png cut in half": (lambda: deep_png()[:3000], "damaged or incomplete"),
    "jpeg signature alone": (lambda: encoded("JPEG")[:3], "damaged or incomplete"),
    "jpeg cut in the header": (lambda: encoded("JPEG")[:200], "damaged or incomplete"),
    "jpeg cut in half": (lambda: encoded("JPEG")[:1500], "damaged or incomplete"),
    "webp cut in the header": (lambda: encoded("WEBP")[:16], "damaged or incomplete"),
    "webp cut in half": (lambda: encoded("WEBP")[:800], "damaged or incomplete"),
    "bomb": (lambda: png(header(60_000, 60_000)), "60000 x 60000 is more than 67,108,864 pixels"),
    "small bomb": (lambda: png(header(8193, 8192)), "8193 x 8192 is more than"),
    "webp bomb": (lambda: extended_webp(2**14, 2**14), "it is more than 67,108,864 pixels"),
    "deep bomb": (lambda: png(header(2**31 - 1, 2**31 - 1, 16)), "more than 67,108,864 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_gives_one_clear_error(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    path = tmp_path / "bad.png"
    path.write_bytes(make())
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.png: there is no such file; check the path"):
        load(tmp_path / "none.png")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this is a folder; name a picture in it"):
        load(tmp_path)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="not a regular file"):
        load(tmp_path / "pipe.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_any_damage_gives_a_picture_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    good = encoded(form)
    path = tmp_path_factory.mktemp("fuzz") / "x"
    edits = st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=8)

    @settings(max_examples=60)
    @given(cut=st.integers(0, len(good)), edits=edits)
    def survives(cut: int, edits: list[tuple[int, int]]) -> None:
        damaged = bytearray(good)
        for at, value in edits:
            damaged[at] = value
        path.write_bytes(damaged[:cut] if cut % 2 else damaged)
        try:
            load(path)
        except ValueError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 (a good picture is fine, too)

    survives()
