"""Files that are whole or not there: written beside their place, then moved."""

import hashlib
import os
import shutil
import socket
import time
from contextlib import suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Final
from uuid import uuid4

_PREFIX: Final = ".writing-"
_STALE: Final = 3600.0
"""Seconds after which what another machine has not finished is taken for left behind."""


def fresh(folder: Path) -> Path:
    """Return a path in a folder that nobody else uses; nothing is made yet."""
    return folder / f"{_PREFIX}{_host()}-{os.getpid()}-{uuid4().hex[:16]}"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one step; whoever reads it sees the old bytes or the new.

    Raises:
        OSError: nothing was written, and what stood there still does.
    """
    part = fresh(path.parent)
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def deliver(path: Path, target: Path) -> None:
    """Move a finished file to its place, in one step, and not before it has reached the disk.

    Raises:
        OSError: what stood there still does.
    """
    part = fresh(target.parent)
    try:
        shutil.copyfile(path, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def appending(path: Path) -> FileIO:
    """Open a file to be read and appended to; each write is one at its end.

    Raises:
        OSError: it cannot be, or it is a symbolic link, which may lead out of its folder.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return FileIO(path, "a+", opener=opener)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder."""
    with suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*"):
            if _is_left(path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _is_left(path: Path) -> bool:
    """Say whether nobody is at work on a path any more."""
    host, _, rest = path.name.removeprefix(_PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if host != _host() or not pid.isdecimal():
        return path.stat().st_mtime < time.time() - _STALE
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
