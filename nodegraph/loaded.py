"""Whether what this process has imported of packages is what lies on the disk by now."""

import logging
import sys
import time
from typing import Final

from .manifest import Manifest
from .package import Package

_STARTED: Final = time.time_ns()
_imported: dict[str, str] = {}
"""Digests of the sources by module, from when they were imported for a run."""
_told: set[str] = set()


def remember_import(package: Package, manifest: Manifest) -> None:
    """Remember what a package's sources were when it was imported, which was just now."""
    _imported[package.module] = "" if manifest.changed() else manifest.data["sources"]


def is_loaded(package: Package) -> bool:
    """Say whether this process has imported a package."""
    return package.module in sys.modules


def is_current(package: Package, manifest: Manifest) -> bool:
    """Say whether a package runs, or will run, as its files say; where it does not, warn once."""
    if not is_loaded(package):
        return True
    known = _imported.get(package.module)
    if known is None:  # imported by somebody else, at the earliest when this process began
        latest = max((time for _, time in manifest.data["stamp"].values()), default=0)
        current = latest < _STARTED
    else:
        current = known == manifest.data["sources"]
    current = current and not manifest.changed()
    if not current and package.module not in _told:
        _told.add(package.module)
        logging.getLogger("nodegraph").warning(
            "nodegraph: package %s was edited after this process had imported it; until that"
            " starts again it runs as it was, and its results are not stored",
            f"{package.name!r} ({package.distribution})",
        )
    return current
