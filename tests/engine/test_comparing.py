"""Two PNG files are compared at the depth that they have."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from nodegraph.cli.comparing import Difference, compare
from nodegraph.errors import WorkflowError

Array = npt.NDArray[Any]


def write(path: Path, values: Array) -> Path:
    """Write greys, BGR or BGRA of 8 or 16 bits."""
    assert cv2.imwrite(str(path), values)
    return path


@pytest.mark.parametrize("channels", [(), (3,), (4,)], ids=["grey", "rgb", "rgba"])
def test_values_of_sixteen_bits_differ_by_one(tmp_path: Path, channels: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(300, 65000, (4, 5, *channels)).astype(np.uint16)
    one = write(tmp_path / "one.png", values)
    assert compare(one, one) == Difference(0, 65535, 0.0)
    for step in (1, -1, 255, 256, -300):
        changed = values.astype(np.int64)
        changed[1, 2] += step
        other = write(tmp_path / "other.png", changed.astype(np.uint16))
        assert compare(one, other) == Difference(abs(step), 65535, 1 / 20)


def test_greys_of_sixteen_bits_have_their_own_opacity(tmp_path: Path) -> None:
    for name, opacity in (("one", 7), ("other", 9)):
        grey = struct.pack(">HH", 1000, opacity)
        (tmp_path / f"{name}.png").write_bytes(_grey_with_opacity(grey))
    found = compare(tmp_path / "one.png", tmp_path / "other.png")
    assert found == Difference(2, 65535, 1.0)


def _grey_with_opacity(pixel: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 1, 1, 16, 4, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + pixel)), (b"IEND", b""))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        parts.append(struct.pack(">I", len(body)) + kind + body)
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_values_of_eight_bits_are_counted_as_such(tmp_path: Path, mode: str) -> None:
    picture = Image.effect_noise((5, 4), 80).convert(mode)
    picture.save(tmp_path / "one.png")
    assert compare(tmp_path / "one.png", tmp_path / "one.png") == Difference(0, 255, 0.0)
    values = np.array(picture.convert("RGBA"))
    values[1, 2, 1] ^= 64
    values[3, 3, 3] ^= 32
    Image.fromarray(values).save(tmp_path / "other.png")
    found = compare(tmp_path / "one.png", tmp_path / "other.png")
    assert found == Difference(64, 255, 2 / 20)


def test_sixteen_bits_are_compared_with_eight(tmp_path: Path) -> None:
    values = np.full((4, 5), 200, np.uint8)
    one = write(tmp_path / "one.png", values)
    deep = values.astype(np.uint16) * 257
    assert compare(one, write(tmp_path / "same.png", deep)) == Difference(0, 65535, 0.0)
    deep[0, 0] += 3
    assert compare(one, write(tmp_path / "near.png", deep)) == Difference(3, 65535, 1 / 20)


def test_other_sizes_are_not_compared(tmp_path: Path) -> None:
    one = write(tmp_path / "one.png", np.zeros((4, 5), np.uint8))
    assert compare(one, write(tmp_path / "other.png", np.zeros((5, 4), np.uint16))) is None


def test_what_is_no_picture_is_refused_in_a_line(tmp_path: Path) -> None:
    one = write(tmp_path / "one.png", np.zeros((4, 5), np.uint8))
    (tmp_path / "cut.png").write_bytes(one.read_bytes()[:45])
    with pytest.raises(WorkflowError, match=r"cut.png: cannot be compared: OSError"):
        compare(one, tmp_path / "cut.png")
