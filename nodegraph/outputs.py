"""Writes a flow's outputs as files, each in one step, with the record of how they were made."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from .errors import NodegraphError, in_words
from .jsontext import is_list
from .ports import Codec, declared_port


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

    def take(self, file: str, owner: str) -> None:
        """Note that a file is written by `owner`.

        Raises:
            ValueError: somebody else writes it.
        """
        with self._lock:
            other = self._owners.setdefault(file.casefold(), owner)
        if other != owner:
            raise ValueError(f"{file} is written by {other!r} already; choose another name")


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
            with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
                for item in _write(name, value, Path(scratch), record):
                    if item.path:
                        claims.take(item.path.name, f"outputs.{name}")
                    path = item.path and item.path.replace(folder / item.path.name)
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
    ports = [_codec(item) for item in _items(value)]
    if any(codec is not None for codec in ports):
        return [
            written
            for stem, item, codec in zip(_stems(name, value), _items(value), ports, strict=True)
            for written in _write_port(name, item, scratch / stem, codec, record)
        ]
    if isinstance(value, Path):
        return [Written(name, None, str(value))]
    path = scratch / f"{name}.json"
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return [Written(name, path, _short(text))]


def _write_port(
    name: str, value: Any, stem: Path, codec: type[Codec[Any]] | None, record: Mapping[str, Any]
) -> list[Written]:
    if codec is None or not codec.can("write"):
        kind = type(value).__name__
        return [Written(name, None, f"a {kind} has no file form, nothing was written")]
    about = codec.describe(value) if codec.can("describe") else ""
    return [Written(name, path, about) for path in codec.write(value, stem, record)]


def _codec(value: Any) -> type[Codec[Any]] | None:
    declared = declared_port(value)
    return declared.codec if declared else None


def _items(value: Any) -> list[Any]:
    return value if is_list(value) else [value]


def _stems(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        return [name]
    return [f"{name}_{index:04d}" for index in range(1, len(_items(value)) + 1)]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
