"""Results on disk, by their keys: whole or not there, checked when read, the oldest leave first."""

import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .entry import TEXT, Entry, Unstorable, entry_at, read_entry, write_entry
from .errors import Problem, WorkflowError, reason
from .manifest import cache_folder
from .models import expanded
from .ports import port_named
from .writing import fresh, sweep

LEAST: Final = 0.001
_FORGOTTEN: Final = 14 * 86400.0
"""Seconds after which the state of a run that was broken off leaves the store."""
GIB: Final = 2**30
_KEY: Final = re.compile("[0-9a-f]{64}")


class Damaged(Exception):
    """An entry is not what was written, or is gone; it has been dropped."""


def store_folder() -> Path | None:
    """Return where results are stored: in the user's cache, or what NODEGRAPH_STORE says.

    Returns:
        None where that is `off`.
    """
    said = os.environ.get("NODEGRAPH_STORE", "")
    if said.lower() in ("off", "0", "no"):
        return None
    return expanded(said).absolute() if said else cache_folder() / "store"


def store_limit() -> int:
    """Return the bytes that may be stored: NODEGRAPH_STORE_LIMIT in GiB, or 10 GiB.

    Raises:
        WorkflowError: that is no number above 0.
    """
    said = os.environ.get("NODEGRAPH_STORE_LIMIT") or "10"
    try:
        limit = float(said)
        if not 0 < limit * GIB < math.inf:
            raise ValueError
    except ValueError:
        message = f"NODEGRAPH_STORE_LIMIT: {said!r} is no size; give gibibytes, such as 20"
        raise WorkflowError([Problem("bad_setting", "", message)]) from None
    return int(limit * GIB)


@dataclass(slots=True)
class Store:
    """A folder with one folder for each result.

    Any number of processes may use it at once: an entry is written beside its place and moved
    there in one step, and never changed. Damage, of one bit too, is seen when an entry is read.
    """

    folder: Path
    limit: int = 10 * GIB
    """Bytes; more are held for as long as a run lasts."""
    least: float = LEAST
    """Seconds that computing has to take: to store what was quicker would not be worth it."""
    fault: str = ""
    """Why nothing is stored any more in this process, such as a full disk."""
    _written: int = 0
    """Bytes that were put since the entries were counted."""
    _counted: int | None = None
    """Bytes that there were then."""
    _root: str = ""
    _gone: set[str] = field(default_factory=lambda: {""})
    """Entries that were found damaged: not looked at again, also where they cannot be removed."""

    def has(self, key: str) -> bool:
        """Say whether there is an entry."""
        if key in self._gone:
            return False
        self._root = self._root or str(self.folder)
        return os.path.exists(f"{self._root}/{key[:2]}/{key}/{TEXT}")  # noqa: PTH110 (a hot path)

    def put(
        self, key: str, type_: str, outputs: Mapping[str, Any], notes: Sequence[Any] = ()
    ) -> bool:
        """Store the outputs of a node; False when one has no form on disk, or the store is off."""
        if self.fault or self.has(key):
            return not self.fault
        try:
            return self._put(key, type_, outputs, notes)
        except Unstorable:
            return False
        except OSError as error:
            self.fault = error.strerror or str(error)
            return False
        except Exception:  # noqa: BLE001 (a stranger's codec: its value is only not stored)
            return False

    def _put(self, key: str, type_: str, outputs: Mapping[str, Any], notes: Sequence[Any]) -> bool:
        place = self._place(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = fresh(self._made("writing"))
        scratch.mkdir()
        try:
            written = write_entry(scratch, key, type_, outputs, notes)
            if place.exists():
                self.drop(key)  # what is left of one that was damaged
            with suppress(FileExistsError):  # another process was quicker
                _move(scratch, place)
                self._gone.discard(key)
            self._written += written
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return True

    def get(self, key: str) -> tuple[dict[str, Any], list[Any]]:
        """Return outputs by port, and notes.

        Raises:
            Damaged: the entry is gone or not what was written; it is dropped.
        """
        place = self._place(key)
        try:
            data = read_entry(place, key)
            with suppress(OSError):  # somebody else's store may be used, too
                os.utime(place)
            outputs = {port: self._value(form, place) for port, form in data["outputs"].items()}
        except Exception as error:  # a codec is a stranger's, and reads what may be anything
            self.drop(key)
            self._gone.add(key)
            raise Damaged(reason(error)) from error
        return outputs, data["notes"]

    def _value(self, form: Any, place: Path) -> Any:
        kind, held = form
        if kind == "json":
            return held
        if kind == "list":
            return [self._value(each, place) for each in held]
        if kind == "ref":
            return self.get(held[0])[0][held[1]]
        return port_named(held[0]).codec.restore(place / held[1])

    def verify(self, key: str) -> str:
        """Return what is wrong with an entry, or ""."""
        try:
            read_entry(self._place(key), key)
        except Exception as error:  # noqa: BLE001 (it may be anything)
            return reason(error)
        return ""

    def drop(self, key: str) -> None:
        """Remove an entry; whoever reads it at this moment finds it gone, not half of it."""
        with suppress(OSError):
            away = fresh(self._made("writing"))
            try:
                _move(self._place(key), away)
            finally:
                shutil.rmtree(away, ignore_errors=True)

    def partial(self, key: str) -> Path | None:
        """Return the folder of a result that is not done yet, made where it is not there."""
        try:
            return self._made(f"partial/{key}")
        except OSError:
            return None

    def finish(self, key: str) -> None:
        """Remove what was kept of a result before it was done."""
        if key and (self.folder / "partial" / key).exists():
            shutil.rmtree(self.folder / "partial" / key, ignore_errors=True)

    def entries(self) -> list[Entry]:
        """Return all entries, the one that was not used for the longest time first."""
        found = [entry_at(place) for place in self._places()]
        return sorted((e for e in found if e is not None), key=lambda entry: entry.used)

    def clear(self) -> int:
        """Remove everything, and return how many entries there were."""
        keys = [place.name for place in self._places()]
        for key in keys:
            self.drop(key)
        with suppress(OSError):
            for left in (*(self.folder / "writing").glob(".writing-*"), *self._partials()):
                shutil.rmtree(left, ignore_errors=True)
        return len(keys)

    def trim(self) -> None:
        """Remove what was not used for the longest time, until the limit holds; once at a time."""
        if not self._written or self._has_room():
            return
        self._written = 0
        from filelock import FileLock, Timeout

        with suppress(OSError, Timeout), FileLock(self.folder / "lock", timeout=0):
            sweep(self._made("writing"))
            self._forget()
            entries = self.entries()
            held = sum(entry.bytes for entry in entries)
            for entry in entries:
                if held <= self.limit:
                    break
                self.drop(entry.key)
                held -= entry.bytes
            self._counted = held

    def _has_room(self) -> bool:
        """Say that counting, which reads every folder, would surely find the limit kept."""
        if self._counted is None or self._written > self.limit // 20:  # others write, too
            return False
        return self._counted + self._written <= self.limit

    def _forget(self) -> None:
        """Remove what was kept of results that nobody came back for."""
        before = time.time() - _FORGOTTEN
        for place in self._partials():
            if place.stat().st_mtime < before:
                shutil.rmtree(place, ignore_errors=True)

    def _places(self) -> Iterator[Path]:
        """Yield the folders of entries; whatever else lies in the folder is not the store's."""
        with suppress(OSError):
            for shard in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
                for place in shard.iterdir():
                    if _KEY.fullmatch(place.name) and place.name.startswith(shard.name):
                        yield place

    def _partials(self) -> Iterator[Path]:
        with suppress(OSError):
            for place in (self.folder / "partial").iterdir():
                if _KEY.fullmatch(place.name):
                    yield place

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def _move(source: Path, target: Path) -> None:
    """Rename a folder; onto an empty one, or where none is."""
    try:
        source.rename(target)
    except OSError as error:
        if target.exists():
            raise FileExistsError(target) from error
        raise
