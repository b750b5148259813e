"""The form of a result on disk: a text of JSON, sealed, with a folder for each value beside it."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .jsontext import is_list, is_table
from .ports import declared_port

FORMAT: Final = "1"
TEXT: Final = "entry.json"


class Unstorable(Exception):
    """A value of a type that has no form on disk."""


@dataclass(frozen=True, slots=True)
class Ref:
    """In the place of a value, where it is stored already."""

    key: str
    port: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What `list` tells of an entry."""

    key: str
    type: str
    bytes: int
    used: float
    """Seconds since the epoch."""


def write_entry(
    folder: Path, key: str, type_: str, outputs: Mapping[str, Any], notes: Sequence[Any]
) -> int:
    """Write the outputs of a node into an empty folder, and return how many bytes they took.

    Raises:
        Unstorable: one of them has no form on disk.
        OSError: it cannot be written.
    """
    writer = _Writer(folder)
    values = {port: writer.form(value) for port, value in outputs.items()}
    files = {path.relative_to(folder).as_posix(): _seal(path) for path in _files(folder)}
    data = {"key": key, "type": type_, "outputs": values, "files": files}
    text = json.dumps({**data, "notes": list(notes)})
    (folder / TEXT).write_text(f"{_sum(text)}\n{text}", encoding="utf-8")
    return len(text) + sum(size for size, _ in files.values())


class _Writer:
    """Turns values into JSON, and those of port types into folders beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def form(self, value: Any) -> Any:
        """Return a value's form.

        Raises:
            Unstorable: it has none.
        """
        if isinstance(value, Ref):
            return ["ref", [value.key, value.port]]
        declared = declared_port(value)
        if declared is not None:
            if not (declared.codec.can("dump") and declared.codec.can("restore")):
                raise Unstorable(declared.name)
            self._count += 1
            name = str(self._count)
            (self._folder / name).mkdir()
            declared.codec.dump(value, self._folder / name)
            return ["port", [declared.id, name]]
        if is_list(value):
            return ["list", [self.form(item) for item in value]]
        if _is_plain(value):
            return ["json", value]
        raise Unstorable(type(value).__name__)


def _is_plain(value: Any) -> bool:
    """Say whether JSON gives back exactly this: no tuples, no keys but text."""
    if is_table(value):
        return all(type(k) is str and _is_plain(v) for k, v in value.items())
    if is_list(value):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def read_entry(place: Path, key: str) -> dict[str, Any]:
    """Return an entry's text, when its files are those that were written.

    Raises:
        ValueError: something is not what was written; reading anything may raise others, too.
    """
    said, _, text = (place / TEXT).read_text(encoding="utf-8").partition("\n")
    if said != _sum(text):
        raise ValueError("entry.json: not what was written")
    data = json.loads(text)
    if not is_table(data) or data["key"] != key:
        raise ValueError("entry.json: of another entry")
    for name, seal in data["files"].items():
        if _seal(place / name) != tuple(seal):
            raise ValueError(f"{name}: not what was written")
    return data


def entry_at(place: Path) -> Entry | None:
    """Return what to list of a folder; None where it is gone."""
    try:
        size = sum(path.stat().st_size for path in _files(place))
        text = (place / TEXT).read_text(encoding="utf-8").partition("\n")[2]
        return Entry(place.name, str(json.loads(text)["type"]), size, place.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return Entry(place.name, "damaged", 0, 0.0) if place.exists() else None


def _seal(path: Path) -> tuple[int, str]:
    """Return a file's size and digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _sum(text: str) -> str:
    return f"nodegraph store {FORMAT} {hashlib.sha256(text.encode()).hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        yield from (Path(place, name) for name in files)
