"""Arrays to PNG files, with a record of how they came about in the text chunk `nodegraph`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from PIL import Image as pillow
from PIL.PngImagePlugin import PngInfo

Bytes = npt.NDArray[np.uint8]

CHUNK = "nodegraph"


def write_pictures(pictures: Bytes, stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
    """Write (B, H, W[, 3]) bytes as PNG: `stem.png`, or `stem_0001.png` and on for a batch."""
    if len(pictures) == 1:
        paths = [stem.with_name(f"{stem.name}.png")]
    else:
        names = (f"{stem.name}_{number:04}.png" for number in range(1, len(pictures) + 1))
        paths = [stem.with_name(name) for name in names]
    for path, pixels in zip(paths, pictures, strict=True):
        write_png(pixels, path, record)
    return paths


def write_png(pixels: Bytes, path: Path, record: Mapping[str, Any] | None = None) -> None:
    """Write one picture, (H, W, 3) or grey (H, W); a reader never sees half of it."""
    chunks = PngInfo()
    if record is not None:
        # ASCII makes it a plain tEXt chunk, which every tool reads, however long it is.
        chunks.add_text(CHUNK, json.dumps(record, separators=(",", ":"), allow_nan=False))
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        pillow.fromarray(pixels).save(part, format="PNG", pnginfo=chunks)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
