"""Files that are whole or not there: written beside their place, then moved."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file in one step; whoever reads it sees the old bytes or the new.

    Args:
        durable: it has reached the disk when this returns, so that a power cut cannot undo it.

    Raises:
        OSError: nothing was written, and what stood there still does.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
