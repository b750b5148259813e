"""Digests of files and folders, remembered by path, size, times of change and inode."""

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .jsontext import is_table
from .manifest import cache_folder
from .writing import write_whole

_MOST: Final = 50_000
"""Files that are remembered beside those of this run: each start reads of all."""
_TICK: Final = 100_000_000
"""Nanoseconds; what was changed so shortly ago may change again without another time to show it."""


class Digests:
    """SHA-256 of contents; what has not been touched since is not read again."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known = _remembered(place)
        self._keys: dict[str, list[str]] | None = None
        self._before = len(self._known)
        self._given: dict[Path, tuple[str, str]] = {}
        self._used: set[str] = set()

    @classmethod
    def of_user(cls) -> "Digests":
        """Return those that are remembered in the user's cache."""
        return cls(cache_folder() / "digests.json")

    def of(self, path: Path) -> str:
        """Return the digest of a file, or of all names and contents below a folder.

        Raises:
            OSError: it is gone, or cannot be read.
        """
        found = self._look(path)
        self._given.setdefault(path, found)
        return found[0]

    def begin(self) -> None:
        """Forget which digests were given."""
        self._given.clear()
        self._used.clear()

    def changed(self) -> list[Path]:
        """Return the files and folders that were written since their digests were first given.

        Their times count, too: one that has its first content again had another in between.
        """
        return [path for path, found in list(self._given.items()) if self._now(path) != found]

    def _now(self, path: Path) -> tuple[str, str] | None:
        try:
            return self._look(path)
        except OSError:
            return None

    def _look(self, path: Path) -> tuple[str, str]:
        """Return the digest of a file or folder, and what shows that it was written since."""
        return self._folder(path) if path.is_dir() else self._file(path)

    def _folder(self, path: Path) -> tuple[str, str]:
        whole, times = hashlib.sha256(), hashlib.sha256()
        for name, file in files_below(path):
            held, key = self._file(file) if file else ("", _key_of(path / name))
            whole.update(_line(name, held))
            times.update(_line(name, key))
        return whole.hexdigest(), times.hexdigest()

    def seen(self, digest: str) -> str | None:
        """Return a file that had this digest when it was last looked at, and has it still."""
        if self._keys is None:
            self._keys = {}
            for key, known in self._known.items():
                self._keys.setdefault(known, []).append(key)
        paths = {key.rsplit("|", 4)[0]: None for key in self._keys.get(digest, ())}
        for path in map(Path, paths):
            try:
                if self._file(path)[0] == digest:
                    return str(path)
            except OSError:
                continue
        return None

    def remember(self) -> None:
        """Keep what was learnt; a cache that cannot be written is only slower."""
        if len(self._known) == self._before:
            return
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            known = {**_remembered(self._place), **self._known}  # of other processes, too
            rest = [each for each in known.items() if each[0] not in self._used]
            used = {key: known[key] for key in self._used}
            known = {**dict(rest[-_MOST:]), **used}
            write_whole(self._place, json.dumps(known).encode())
        except OSError:
            return
        self._known = known
        self._before = len(known)

    def _file(self, path: Path) -> tuple[str, str]:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))  # to read a pipe would wait
        key = _key(path, status)
        if key in self._known:
            self._used.add(key)
            return self._known[key], key
        began = time.time_ns()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            same = _key(path, os.fstat(file.fileno())) == key
        if same and max(status.st_mtime_ns, status.st_ctime_ns) < began - _TICK:
            self._known[key] = digest
            self._used.add(key)
            if self._keys is not None:
                self._keys.setdefault(digest, []).append(key)
        return digest, key


def _key_of(path: Path) -> str:
    """Return the key of what has no contents; "" where there is nothing."""
    try:
        return _key(path, path.stat())
    except OSError:
        return ""


def _line(name: str, said: str) -> bytes:
    return f"{name}\0{said}\n".encode("utf-8", "surrogateescape")


def _key(path: Path, status: os.stat_result) -> str:
    times = f"{status.st_mtime_ns}|{status.st_ctime_ns}"
    return f"{path}|{status.st_size}|{times}|{status.st_ino}"


def files_below(folder: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield names below a folder, in order, and their files; links to folders are followed.

    Folders are among them, as names that end with a slash: one may be empty. A folder that is met
    again, round in a circle perhaps, stands as the name that it had before.
    """
    seen: dict[str, str] = {}
    for place, below, files in os.walk(folder, followlinks=True):
        name = Path(place).relative_to(folder).as_posix()
        before = seen.setdefault(os.path.realpath(place), name)
        if before != name:
            below.clear()
            yield f"{name}={before}", None
            continue
        yield f"{name}/", None
        below.sort()
        for file in sorted(files):
            path = Path(place, file)
            yield f"{name}/{file}", path if path.is_file() else None


def _remembered(place: Path) -> dict[str, str]:
    try:
        data = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in data.items()} if is_table(data) else {}
