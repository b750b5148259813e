"""Writes a flow's outputs as files, each in one step, with the record of how they were made."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from .errors import NodegraphError, in_words, reason
from .jsontext import is_list
from .ports import Codec, declared_port
from .values import article
from .writing import deliver, scratch


@dataclass(frozen=True, slots=True)
class Written:
    """One file of an output; `path` is None, and `about` says why, when its type has no files."""

    name: str
    path: Path | None
    about: str


class Claims:
    """Who writes which file of a run's folder: a second one would undo the first."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._lock = Lock()
        self.files: list[str] = []
        """What was taken so far."""

    def take(self, file: str, owner: str) -> None:
        """Note that a file is written by `owner`.

        Raises:
            ValueError: somebody else writes it.
        """
        with self._lock:
            if file.casefold() not in self._owners:
                self.files.append(file)
            other = self._owners.setdefault(file.casefold(), owner)
        if other != owner:
            raise ValueError(f"{file} is written by {other!r} already; choose another name")


def value_file(name: str) -> str:
    """Name the file of an output whose value is not of a port's type."""
    return f"{name}.json"


def write_outputs(
    values: Mapping[str, Any],
    folder: Path,
    record: Mapping[str, Any],
    claims: Claims,
    written: Callable[[Written], None],
) -> None:
    """Write every output into a folder, and say of each file when it is there.

    A file is complete or not there: it is written beside its place and moved.

    Raises:
        NodegraphError: some outputs could not be written; all others are.
    """
    faults: list[Exception] = []
    for name, value in values.items():
        items: list[Written] = []
        try:
            with scratch() as made:
                for item in _write(name, value, made, record):
                    path = item.path and folder / item.path.name
                    if item.path and path:
                        claims.take(path.name, f"outputs.{name}")
                        deliver(item.path, path)
                    items.append(replace(item, path=path))
        except Exception as error:  # noqa: BLE001 (a stranger's codec)
            why = error.strerror if isinstance(error, OSError) else in_words(error)
            message = f"outputs.{name}: cannot be written into {folder}: {why}"
            faults.append(NodegraphError(message))
            faults[-1].__cause__ = error
        for item in items:
            written(item)
    if faults:
        raise faults[0]


def _write(name: str, value: Any, scratch: Path, record: Mapping[str, Any]) -> list[Written]:
    items = list(_items(name, value))
    if any(declared_port(item) for _, item in items):
        return [
            written
            for stem, item in items
            for written in _write_port(name, item, scratch / stem, record)
        ]
    if isinstance(value, Path):
        return [Written(name, None, str(value))]
    path = scratch / value_file(name)
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return [Written(name, path, _short(text))]


def _write_port(name: str, value: Any, stem: Path, record: Mapping[str, Any]) -> list[Written]:
    declared = declared_port(value)
    codec = declared.codec if declared else None
    if codec is None or not codec.can("write"):
        kind = type(value).__name__
        return [Written(name, None, f"a {kind} has no file form, nothing was written")]
    paths = [Path(path) for path in codec.write(value, stem, record)]
    if not paths:
        return [Written(name, None, f"{article(type(value).__name__)} that wrote no file")]
    return [Written(name, path, _described(value, codec)) for path in paths]


def _described(value: Any, codec: type[Codec[Any]]) -> str:
    """Describe a value; where that fails, its files are there all the same."""
    try:
        return str(codec.describe(value)) if codec.can("describe") else ""
    except Exception as error:  # noqa: BLE001 (a stranger's codec)
        return f"cannot be described: {reason(error)}"


def _items(stem: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a list, of lists within too, each with the stem of its file's name."""
    if not is_list(value):
        yield stem, value
        return
    for index, item in enumerate(value, 1):
        yield from _items(f"{stem}_{index:04d}", item)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"holds {article(type(value).__name__)}, which JSON cannot")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
