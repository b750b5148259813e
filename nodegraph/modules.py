"""Where the files of modules lie, found without importing any, and how a change of them shows."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

_RESULTS: Final = ("journal.jsonl", "batch.jsonl")
"""Names of files in the folders that runs write."""
Seal = list[int]
"""Size, and times of change of contents and of the file."""


def find_module(name: str) -> ModuleSpec | None:
    """Return the spec of a top-level module as a new process would find it, imported or not."""
    for finder in sys.meta_path:
        with suppress(Exception):  # a finder may be anybody's
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
    return None


def unit_of(dotted: str) -> str:
    """Return the module whose files stand for a dotted name; "" where there are none.

    That is the top-level one, or in a namespace, which is only a folder on the path, the first
    below it that is more than that.
    """
    top, *rest = dotted.split(".")
    spec = find_module(top)
    if spec is None:
        return ""
    if spec.has_location:
        return top
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    for depth, name in enumerate(rest, 1):
        if any(_is_module(place, name) for place in places):
            return ".".join((top, *rest[:depth]))
        places = [place / name for place in places]
    return ""


def _is_module(place: Path, name: str) -> bool:
    found = (place / name / "__init__.py", *place.glob(f"{name}.py"), *place.glob(f"{name}.*.so"))
    return any(path.is_file() for path in found)


def source_files(unit: str) -> Iterator[tuple[str, Seal]]:
    """Yield the paths of a module's files with their seals: tables and all, or the archive.

    Links are followed, round in circles too, only not twice; hidden files are left out, and folders
    of results of a flow that was run in there.
    """
    top, *rest = unit.split(".")
    spec = find_module(top)
    if spec is None:
        return
    archive: str | None = getattr(spec.loader, "archive", None)
    places = [os.path.join(p, *rest) for p in spec.submodule_search_locations or ()]  # noqa: PTH118
    if archive:
        yield from _sealed(archive)
    elif not places and spec.origin:
        yield from _sealed(spec.origin)
    else:
        yield from _below(places)
        for place in places if rest else ():
            for path in Path(place).parent.glob(f"{rest[-1]}.*"):
                yield from _sealed(str(path)) if path.is_file() else ()


def _below(roots: list[str]) -> Iterator[tuple[str, Seal]]:
    pending = [*roots]
    seen: set[tuple[int, int]] = set()
    while pending:
        place = pending.pop()
        with suppress(OSError):  # gone, or a link that leads nowhere
            status = os.stat(place)  # noqa: PTH116 (a hot path)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as found:
                entries = list(found)
            if place not in roots and any(entry.name in _RESULTS for entry in entries):
                continue
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                if entry.is_dir():
                    pending.append(entry.path)
                elif entry.is_file():
                    yield entry.path, _seal(entry.stat())


def _sealed(path: str) -> Iterator[tuple[str, Seal]]:
    with suppress(OSError):
        yield path, _seal(os.stat(path))  # noqa: PTH116


def _seal(status: os.stat_result) -> Seal:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def stamp(units: Iterable[str]) -> dict[str, dict[str, Seal]]:
    """Return the seals of all files of some modules, by module and path."""
    return {unit: dict(source_files(unit)) for unit in units}


def digest_of(unit: str) -> str:
    """Return a digest of all files of a module; where they lie is no part of it."""
    whole = hashlib.sha256()
    paths = sorted(path for path, _ in source_files(unit))
    start = len(os.path.commonpath(paths)) if paths else 0
    for path in paths:
        text = "gone"
        with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123
            text = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(os.fsencode(f"{path[start:]}\0{text}\n"))
    return whole.hexdigest()
