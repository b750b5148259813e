"""Whether what this process has imported of packages is what lies on the disk by now."""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

from .manifest import Manifest
from .package import Package

_contents: dict[str, str] = {}
"""Digests of modules as they were when they were imported, where that was seen."""
_sources: dict[str, str] = {}
"""Digests of all that packages were made of then, by the module of the entry point."""
_told: set[str] = set()


def loaded_of(manifest: Manifest) -> set[str]:
    """Return the modules of a package that this process has imported, or a part of."""
    return {unit for unit in manifest.data["stamp"] if unit in sys.modules}


def remember(package: Package, manifest: Manifest, before: set[str] | None = None) -> None:
    """Remember what was imported of a package, which is as its manifest says.

    Args:
        before: what of it had been imported before anybody could see what it was.
    """
    for unit in loaded_of(manifest) - (before or set()):
        _contents.setdefault(unit, manifest.data["digests"][unit])
    if not before:
        _sources.setdefault(package.module, manifest.data["sources"])


def distrust(manifest: Manifest, before: set[str]) -> None:
    """Remember that nobody knows what was just imported: files changed at that moment."""
    for unit in loaded_of(manifest) - before:
        _contents[unit] = ""


def is_current(package: Package, manifest: Manifest) -> bool:
    """Say whether a package runs, or will run, as its files say; where it does not, warn once."""
    loaded = loaded_of(manifest)
    if not loaded:
        return True
    current = (
        all(_is_as_imported(unit, manifest) for unit in loaded)
        and _sources.get(package.module, manifest.data["sources"]) == manifest.data["sources"]
        and not manifest.changed()
    )
    if not current and package.module not in _told:
        _told.add(package.module)
        logging.getLogger("nodegraph").warning(
            "nodegraph: package %s was edited while this process was running; until that starts"
            " again it may run as it was, and its results are not stored",
            f"{package.name!r} ({package.distribution})",
        )
    return current


def _is_as_imported(unit: str, manifest: Manifest) -> bool:
    if unit in _contents:
        return bool(_contents[unit] == manifest.data["digests"][unit])
    seals = manifest.data["stamp"][unit].values()  # imported by somebody else, when this process
    return bool(max((max(times) for _, *times in seals), default=0) < _STARTED)  # began or later


def _began() -> int:
    """Return when this process began, or a little earlier, in nanoseconds since the epoch."""
    try:
        ticks = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
        return int((boot + int(ticks) / os.sysconf("SC_CLK_TCK")) * 1e9)
    except (OSError, ValueError, IndexError, StopIteration):
        return time.time_ns() - time.monotonic_ns()  # since the machine was started, perhaps


_STARTED: Final = _began()
