"""Makes a workflow again from the record of a picture, and finds the files that it was made of."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from . import reading
from .digests import Digests
from .errors import Problem, WorkflowError
from .jsontext import is_list, is_table
from .reach import narrow
from .shelf import DEEPEST, MOST_FLOWS
from .workflow import Literal, Workflow

MOST_FILES: Final = 20_000
"""Files that a record may name; each is looked for."""
MOST: Final = 16 * 2**20
"""Bytes of the flows within a record together, each counted wherever it stands."""


@dataclass(frozen=True)
class Again:
    """What a record says: the flow, the values of its inputs, where it was computed."""

    record: Mapping[str, Any]
    flow: Workflow
    given: dict[str, Literal]
    found: tuple[Path, ...] = ()
    """Files that were found by their digests."""

    @property
    def device(self) -> str:
        """The device that it was made on."""
        return str(self._settings.get("device", "cpu"))

    @property
    def dtype(self) -> str:
        """The dtype that it was made with."""
        return str(self._settings.get("dtype", "auto"))

    @property
    def _settings(self) -> Mapping[str, Any]:
        found = self.record.get("settings")
        return found if is_table(found) else {}


def again(record: Mapping[str, Any], place: Path, digests: Digests) -> Again:
    """Return the flow of a record, with files found again by their digests.

    A file is looked for below the working directory and beside the picture, then wherever one with
    the recorded digest was last seen on this machine.

    Args:
        place: the picture.

    Raises:
        WorkflowError: the record names more files or flows than anybody's does.
    """
    finder = _Finder(digests, tuple(narrow(Path.cwd(), place.absolute().parent)))
    inputs = record.get("inputs")
    before = inputs if is_table(inputs) else {}
    unfolding = _Unfolding(record, finder)
    given = dict(before)
    for where, digest in unfolding.files[""]:
        _point(where, digest, {}, given, finder)
    read = unfolding.flow(record["flow"], deepcopy(record["flow"]), "", reading.name_of(place))
    values = {n: _literal(before[n], value) for n, value in given.items() if n in read.inputs}
    return Again(record, read, values, tuple(finder.found))


def flow_of(record: Mapping[str, Any], place: Path) -> Workflow:
    """Return the flow of a picture's record as it stands there; no file is looked for."""
    return reading.from_data(record["flow"], name=reading.name_of(place))


def _literal(name: Any, found: Any) -> Literal:
    """Return an input's value as it was written, with the folder where the file is."""
    if name == found:
        return Literal(name, Path.cwd(), True)
    parts, path = Path(name).parts, Path(found)
    if path.parts[-len(parts) :] == parts:
        return Literal(name, Path(*path.parts[: -len(parts)]), True)
    return Literal(found, Path.cwd(), True)


class _Finder:
    """Finds a file by its name or, if that is not it, by its digest.

    The names are a stranger's: only files below some folders are so much as looked at.
    """

    def __init__(self, digests: Digests, bases: tuple[Path, ...]) -> None:
        self._digests = digests
        self._bases = bases
        self._known: dict[Path, str] = {}
        self.found: list[Path] = []

    def find(self, name: str, digest: str) -> str | None:
        """Return a path, or None where the name is best left as it is."""
        for base in self._bases:
            path = base / name
            with suppress(OSError, ValueError):  # which may be too long for a file, or none
                if self._is(path, digest):
                    return self._keep(str(path.absolute()))
        return self._keep(self._digests.seen(digest))

    def _is(self, path: Path, digest: str) -> bool:
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(base) for base in self._bases) or not real.is_file():
            return False
        if real not in self._known:
            self._known[real] = self._digests.of(real)
        return self._known[real] == digest

    def _keep(self, path: str | None) -> str | None:
        self.found += [Path(path)] if path else []
        return path


class _Unfolding:
    """Makes workflows of the flows of a record, each with those within it."""

    def __init__(self, record: Mapping[str, Any], finder: _Finder) -> None:
        self.files: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        """Places of files and their digests, by the flow within which they are."""
        self._finder = finder
        self._texts: dict[str, Any] = {}
        self._places: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self._written: dict[str, str] = {}
        self._size = self._count = 0
        known = _words(record.get("files"))
        if len(known) > MOST_FILES:
            raise _refusal(f"names more than {MOST_FILES:,} files")
        for where, digest in known.items():
            outer, _, port = where.rpartition("/")
            self.files[outer].append((port, digest))
        within = record.get("flows")
        if is_table(within) and is_table(within.get("texts")):
            self._texts = within["texts"]
            for path, digest in _words(within.get("places")).items():
                outer, _, node = path.rpartition("/")
                self._places[outer].append((node, digest))

    def flow(self, raw: dict[str, Any], data: dict[str, Any], place: str, name: str) -> Workflow:
        """Read a flow from `data`, a copy that is ours; `raw` knows nothing of where files are."""
        for where, digest in self.files[place]:
            _point(where, digest, data, {}, self._finder)
        nodes = data.get("nodes")
        entries = nodes if is_table(nodes) else {}
        within: dict[str, Workflow] = {}
        for node, digest in self._places[place]:
            entry, text = entries.get(node), self._texts.get(digest)
            if is_table(entry) and isinstance(entry.get("flow"), str) and is_table(text):
                path = f"{place}/{node}" if place else node
                inner = self._copy(digest, path)
                for where, held in self.files[path]:
                    if where.startswith("inputs."):
                        port = where.removeprefix("inputs.")
                        _default(port, held, inner, entry, self._finder)
                within[node] = self.flow(text, inner, path, reading.name_of(Path(entry["flow"])))
        return replace(reading.from_data(data, name=name), raw=raw, within=within)

    def _copy(self, digest: str, path: str) -> dict[str, Any]:
        """Return a copy of a text, if that is not too much."""
        if digest not in self._written:
            self._written[digest] = json.dumps(self._texts[digest])
        self._count += 1
        self._size += len(self._written[digest])
        if path.count("/") >= DEEPEST:
            raise _refusal(f"holds flows within flows more than {DEEPEST} deep")
        if self._count > MOST_FLOWS or self._size > MOST:
            limits = f"{MOST_FLOWS:,} flows or {MOST // 2**20} MiB of them"
            raise _refusal(f"holds more than {limits} within its flow")
        copy: dict[str, Any] = json.loads(self._written[digest])  # quicker than deepcopy
        return copy


def _words(table: object) -> dict[str, str]:
    """Return what a table says in words."""
    if not is_table(table):
        return {}
    return {key: value for key, value in table.items() if isinstance(value, str) and value}


def _refusal(said: str) -> WorkflowError:
    message = f"the record {said}; it cannot be repeated"
    return WorkflowError([Problem("too_large", "", message)])


def _point(
    where: str, digest: str, flow: dict[str, Any], given: dict[str, Any], finder: _Finder
) -> None:
    """Set what names a file at a place of the flow to where that file is now."""
    node, dot, port = where.partition(".")
    if not dot:
        return
    if node == "inputs":
        if isinstance(given.get(port), str):
            given[port] = finder.find(given[port], digest) or given[port]
        return
    nodes = flow.get("nodes")
    entry = nodes.get(node) if is_table(nodes) else None
    inputs = entry.get("inputs") if is_table(entry) else None
    if not is_table(inputs):
        return
    item = re.fullmatch(r"(\w+)\[([0-9]{1,9})\]", port)
    if item is None:
        if isinstance(inputs.get(port), str):
            inputs[port] = finder.find(inputs[port], digest) or inputs[port]
        return
    items, number = inputs.get(item[1]), int(item[2])
    if is_list(items) and number < len(items) and isinstance(items[number], str):
        items[number] = finder.find(items[number], digest) or items[number]


def _default(
    name: str, digest: str, inner: dict[str, Any], entry: dict[str, Any], finder: _Finder
) -> None:
    """Point an input of a flow within at its file: where it is given, or else its default."""
    given, declared = entry.get("inputs"), inner.get("inputs")
    if is_table(given) and isinstance(given.get(name), str):
        given[name] = finder.find(given[name], digest) or given[name]
    elif is_table(declared) and is_table(declared.get(name)):
        said = declared[name].get("default")
        if isinstance(said, str):
            declared[name]["default"] = finder.find(said, digest) or said


def differences(record: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each version or file that is not the recorded one."""
    lines: list[str] = []
    if record.get("nodegraph") != now["nodegraph"]:
        lines.append(f"nodegraph: was {record.get('nodegraph')}, is {now['nodegraph']}")
    for kind in ("packages", "files", "environment"):
        was = record.get(kind)
        table = was if is_table(was) else {}
        for name in sorted({*table, *now[kind]}):
            before, after = table.get(name), now[kind].get(name)
            if before != after:
                short = [str(each)[:16] if each else "missing" for each in (before, after)]
                lines.append(f"{name}: was {short[0]}, is {short[1]}")
    return lines
