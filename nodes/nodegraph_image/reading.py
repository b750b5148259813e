"""Picture files to arrays: PNG, JPEG, WebP, GIF, whatever their depth, palette or orientation."""

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from nodegraph_image.picture import MAX_PIXELS, Floats
from nodegraph_image.png import check_rows, clear_grey

Array = npt.NDArray[Any]

MAX_BYTES = 2**30

# What a decoder raises on a damaged file; anything else is our own mistake and stays visible.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, EOFError, OverflowError),
    *(struct.error, zlib.error),
)

_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[Array], Array]] = {  # EXIF 2.3, 4.6.4 A: what undoes each value
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def read_picture(path: Path) -> tuple[Floats, Floats]:
    """Read a picture upright: RGB (H, W, 3) and alpha (H, W), float32 in [0, 1].

    A file without alpha is opaque (all 1). Of an animation the first frame is read. Colour profiles
    are not applied.

    Raises:
        ValueError: the file is missing, of another format, damaged, or too large to be meant.
    """
    rgba = read_rgba(path)
    return _floats(rgba[..., :3]), _floats(rgba[..., 3])


def read_rgba(path: Path) -> Array:
    """Read a picture upright as (H, W, 4), uint8, or uint16 where its file has as many bits.

    Raises:
        ValueError: as `read_picture` does.
    """
    data = _contents(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata; damaged pixels raise
            with _opened(path, data) as picture:
                _refuse_bomb(path, picture.size)
                picture.load()  # raises where pixels are missing, once; nothing may swallow that
                if isinstance(picture, PngImageFile):
                    check_rows(data)
                rgba = _rgba(picture, data)
                orientation = _orientation(picture)
    except _Refused:
        raise
    except DecompressionBombError as error:  # a decoder's own limit, before the size is known
        raise _Refused(
            f"{path}: it is more than {MAX_PIXELS:,} pixels; make it smaller first"
        ) from error
    except _DAMAGE as error:
        raise _Refused(
            f"{path}: the picture is damaged or incomplete ({error}); export it again"
        ) from error
    upright: Array = _UPRIGHT.get(orientation, np.asarray)(rgba)
    return upright


class _Refused(ValueError):
    """Our own words about a file, told apart from a decoder's."""


def _contents(path: Path) -> bytes:
    if path.is_dir():
        raise _Refused(f"{path}: this is a folder; name a picture in it")
    if not path.exists():
        raise _Refused(f"{path}: there is no such file; check the path")
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise _Refused(f"{path}: not a regular file of at most 1 GiB; name a picture")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _Refused(f"{path}: it cannot be read ({error.strerror}); check its rights") from error


def _opened(path: Path, data: bytes) -> ImageFile:
    """Pick the decoder by the first bytes: names lie, and other decoders are never tried."""
    stream = BytesIO(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile(stream)
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile(stream)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile(stream)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile(stream)
    found = "the file is empty" if not data else "this is not a PNG, JPEG, WebP or GIF picture"
    raise _Refused(f"{path}: {found}; convert it to one of these")


def _refuse_bomb(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _Refused(
            f"{path}: {width} x {height} is more than {MAX_PIXELS:,} pixels; make it smaller first"
        )


def _orientation(picture: ImageFile) -> int:
    """Return the EXIF orientation, 1 where there is none; damaged EXIF does not spoil a picture."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        return 1


def _rgba(picture: ImageFile, data: bytes) -> Array:
    """Decode to (H, W, 4) uint8 or uint16."""
    clear = clear_grey(data) if isinstance(picture, PngImageFile) else None
    # Pillow cuts 16-bit colours to 8 bits, OpenCV keeps them.
    if isinstance(picture, PngImageFile) and data[24] == 16:
        deep: Array | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if deep is None:
            raise ValueError("16-bit data that does not decode")
        return _deep_rgba(deep, clear)
    if clear is not None:  # Pillow spreads greys of 1, 2 or 4 bits over 0 to 255, but not this one
        picture.info["transparency"] = clear * 255 // (2 ** data[24] - 1)
    return np.asarray(picture.convert("RGBA"))


def _deep_rgba(deep: Array, clear: int | None) -> Array:
    """Order OpenCV's grey, BGR or BGRA (H, W[, C]) uint16 as RGBA; a grey may be transparent."""
    opaque = np.full((*deep.shape[:2], 1), np.iinfo(deep.dtype).max, deep.dtype)
    if deep.ndim == 2:
        if clear is not None:
            opaque[deep == clear] = 0
        deep = np.repeat(deep[..., None], 3, axis=2)
    alpha = deep[..., 3:] if deep.shape[2] == 4 else opaque
    return np.concatenate([deep[..., 2::-1], alpha], axis=2)


def _floats(values: Array) -> Floats:
    """Scale unsigned integers to [0, 1]; read-only, so that nobody has to copy them again."""
    scaled: Floats = np.divide(values, np.iinfo(values.dtype).max, dtype=np.float32, order="C")
    scaled.flags.writeable = False
    return scaled
