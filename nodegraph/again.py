"""Makes a workflow again from the record of a picture, and finds the files that it was made of."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import reading
from .digests import Digests
from .jsontext import is_list, is_table
from .workflow import Literal, Workflow


@dataclass(frozen=True)
class Again:
    """What a record says: the flow, the values of its inputs, where it was computed."""

    record: Mapping[str, Any]
    flow: Workflow
    given: dict[str, Literal]
    found: tuple[Path, ...] = ()
    """Files that were found by their digests, and where flows within are written."""

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


def again(record: Mapping[str, Any], place: Path, scratch: Path, digests: Digests) -> Again:
    """Return the flow of a record, with files found again by their digests.

    A file is looked for below the working directory and beside the picture, then wherever one with
    the recorded digest was last seen on this machine.

    Args:
        place: the picture.
        scratch: an empty folder for flows within.
    """
    flow = deepcopy(dict(record["flow"]))
    files = record.get("files")
    known = {str(k): str(v) for k, v in files.items() if v} if is_table(files) else {}
    inputs = record.get("inputs")
    given = dict(inputs) if is_table(inputs) else {}
    before = dict(given)
    finder = _Finder(digests, (Path.cwd(), place.absolute().parent))
    for where, digest in known.items():
        _point(where, digest, flow, given, finder)
    within = record.get("flows")
    if is_table(within):
        _unfold(flow, within, known, finder, scratch)
    read = reading.from_data(flow, name=reading.name_of(place))
    read = replace(read, raw=dict(record["flow"]))  # which says nothing of where files are now
    values = {n: _literal(before[n], value) for n, value in given.items() if n in read.inputs}
    return Again(record, read, values, (scratch, *finder.found))


def _literal(name: Any, found: Any) -> Literal:
    """Return an input's value as it was written, with the folder where the file is."""
    if name == found:
        return Literal(name, Path.cwd(), True)
    parts, path = Path(name).parts, Path(found)
    if path.parts[-len(parts) :] == parts:
        return Literal(name, Path(*path.parts[: -len(parts)]), True)
    return Literal(found, Path.cwd(), True)


class _Finder:
    """Finds a file by its name or, if that is not it, by its digest."""

    def __init__(self, digests: Digests, bases: tuple[Path, ...]) -> None:
        self._digests = digests
        self._bases = bases
        self.found: list[Path] = []

    def find(self, name: str, digest: str) -> str | None:
        """Return a path, or None where the name is best left as it is."""
        for base in self._bases:
            path = base / name
            with suppress(OSError):  # a stranger's name, which may be too long for a file
                if path.is_file() and self._digests.of(path) == digest:
                    return self._keep(str(path.absolute()))
        return self._keep(self._digests.seen(digest))

    def _keep(self, path: str | None) -> str | None:
        self.found += [Path(path)] if path else []
        return path


def _point(
    where: str, digest: str, flow: dict[str, Any], given: dict[str, Any], finder: _Finder
) -> None:
    """Set what names a file at a place of the flow to where that file is now."""
    node, dot, port = where.partition(".")
    if not dot or "/" in node:
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


def _unfold(
    flow: dict[str, Any],
    within: Mapping[str, Any],
    known: Mapping[str, str],
    finder: _Finder,
    scratch: Path,
) -> None:
    """Write flows within as files, innermost first, and point at them."""
    texts, places = within.get("texts"), within.get("places")
    if not (is_table(texts) and is_table(places)):
        return
    named = {path: digest for path, digest in places.items() if isinstance(digest, str)}
    made = {path: deepcopy(texts[digest]) for path, digest in named.items() if digest in texts}
    for number, path in enumerate(sorted(made, key=lambda each: -each.count("/"))):
        outer, _, node = path.rpartition("/")
        holder = made.get(outer) if outer else flow
        nodes = holder.get("nodes") if is_table(holder) else None
        entry = nodes.get(node) if is_table(nodes) else None
        if not (is_table(entry) and is_table(made[path])):
            continue
        for where, digest in _below(known, path):
            if where.startswith("inputs."):
                _default(where.removeprefix("inputs."), digest, made[path], entry, finder)
            _point(where, digest, made[path], {}, finder)
        file = scratch / f"{number}.json"
        file.write_text(json.dumps(made[path]), encoding="utf-8")
        entry["flow"] = str(file)


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


def _below(known: Mapping[str, str], path: str) -> Iterator[tuple[str, str]]:
    for where, digest in known.items():
        if where.startswith(f"{path}/"):
            yield where[len(path) + 1 :], digest


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
