"""Files that are whole or not there: written beside their place, then moved."""

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def fresh(folder: Path) -> Path:
    """Return a path in a folder that nobody else uses; nothing is made yet."""
    return folder / f".writing-{uuid4().hex}"


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file in one step; whoever reads it sees the old bytes or the new.

    Args:
        durable: it has reached the disk when this returns, so that a power cut cannot undo it.

    Raises:
        OSError: nothing was written, and what stood there still does.
    """
    part = fresh(path.parent)
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
