"""Files that are whole or not there: written beside their place, then moved."""

import hashlib
import math
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Final
from uuid import uuid4

_PREFIX: Final = ".writing-"
_SCRATCH: Final = "nodegraph-"
_STALE: Final = 3600.0
"""Seconds after which what another machine has not finished is taken for left behind."""


def fresh(folder: Path) -> Path:
    """Return a path in a folder that nobody else uses; nothing is made yet."""
    return folder / f"{_PREFIX}{_who()}{uuid4().hex[:16]}"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one step; whoever reads it sees the old bytes or the new.

    Raises:
        OSError: nothing was written, and what stood there still does.
    """
    part = fresh(path.parent)
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
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


def scratch_folder() -> Path:
    """Make a temporary folder; where this process is killed, a later one removes it."""
    _sweep_scratch()
    return Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{_who()}"))


@contextmanager
def scratch() -> Generator[Path, None, None]:
    """Lend a temporary folder."""
    folder = scratch_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _sweep_scratch() -> None:
    sweep(Path(tempfile.gettempdir()), _SCRATCH, math.inf)


def sweep(folder: Path, prefix: str = _PREFIX, stale: float = _STALE) -> None:
    """Remove what processes that were killed have left in a folder.

    Args:
        stale: seconds after which what another machine has not finished is left behind, too.
    """
    with suppress(OSError):
        for path in folder.glob(f"{prefix}*"):
            if _is_left(path, prefix, stale):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _is_left(path: Path, prefix: str, stale: float) -> bool:
    """Say whether nobody is at work on a path any more."""
    host, _, rest = path.name.removeprefix(prefix).partition("-")
    pid = rest.partition("-")[0]
    if host != _host() or not pid.isdecimal():
        return path.lstat().st_mtime < time.time() - stale
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _who() -> str:
    return f"{_host()}-{os.getpid()}-"


@cache
def _host() -> str:
    """Return a word for where a process number means this process: containers have their own."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]
