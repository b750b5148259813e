"""Compares the pixels of two PNG files at the depth that they have."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.errors import Problem, WorkflowError, reason

if TYPE_CHECKING:
    from PIL.Image import Image

Channels = list[tuple["Image", "Image"]]
"""The upper and the lower byte of each channel."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a picture made again is from the old one."""

    most: int
    """Between two values of a channel."""
    scale: int
    """The largest value that there is: 255, or 65535 where one of the two has 16 bits."""
    share: float
    """Of all pixels, those that differ."""


def compare(one: Path, other: Path) -> Difference | None:
    """Compare the pixels of two PNG files; None where they are not of one size.

    Raises:
        WorkflowError: one cannot be read.
    """
    (first, deep), (second, deeper) = _read(one), _read(other)
    if first[0][0].size != second[0][0].size:
        return None
    most, share = _apart(first, second)
    scale = 65535 if deep or deeper else 255
    return Difference(most * scale // 65535, scale, share)


def _read(path: Path) -> tuple[Channels, bool]:
    from PIL.Image import DecompressionBombError

    try:
        return _channels(path)
    except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:
        message = f"{path}: cannot be compared: {reason(error)}"
        raise WorkflowError([Problem("bad_picture", "", message)]) from error


def _channels(path: Path) -> tuple[Channels, bool]:
    """Return red, green, blue and opacity of a PNG on 16 bits, and whether it has 16 bits."""
    from PIL import Image

    with Image.open(path) as picture:
        coding = str(picture.tile[0].args) if picture.tile else ""
        deep = coding.endswith(";16B")
        if deep and "transparency" in picture.info:
            raise ValueError("that a colour of 16 bits is transparent is not supported")
        if coding == "I;16B":
            lower, upper = Image.frombytes("LA", picture.size, picture.tobytes()).split()
            opaque = Image.new("L", picture.size, 255)
            return [*[(upper, lower)] * 3, (opaque, opaque)], deep
        if coding == "LA;16B":  # which has as many bytes as RGBA
            grey, lower, opacity, faint = _decoded(path, "RGBA")
            return [*[(grey, lower)] * 3, (opacity, faint)], deep
        channels = picture.convert("RGBA").split()
    # 257 times a value of 8 bits is its byte twice
    lowers = _decoded(path, coding.replace(";16B", ";16L")) if deep else channels
    return list(zip(channels, lowers, strict=True)), deep


def _decoded(path: Path, coding: str) -> "tuple[Image, ...]":
    """Decode a PNG as if its colours were of another coding; Pillow keeps their first bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.tile = [picture.tile[0]._replace(args=coding)]
        return picture.convert("RGBA").split()


def _apart(one: Channels, other: Channels) -> tuple[int, float]:
    """Return the largest difference on 16 bits, and the share of pixels that differ."""
    from PIL import Image, ImageChops, ImageMath

    most, differs = 0, Image.new("L", one[0][0].size)
    for (a, b), (c, d) in zip(one, other, strict=True):
        far = ImageMath.lambda_eval(
            lambda x: abs((x["a"] - x["c"]) * 256 + x["b"] - x["d"]), a=a, b=b, c=c, d=d
        )
        most = max(most, int(far.getextrema()[1]))
        here = ImageMath.lambda_eval(lambda x: x["convert"](x["far"] != 0, "L"), far=far)
        differs = ImageChops.lighter(differs, here)
    return most, differs.histogram()[1] / (differs.width * differs.height)
