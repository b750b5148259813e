"""The record that a picture carries: what has to be known to make it again, and no times."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import __version__
from .checking import Checked
from .jsontext import is_table
from .manifest import cache_folder
from .packages import Packages
from .workflow import Workflow


def make_record(
    flow: Workflow, checked: Checked, packages: Packages, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the flow, its resolved inputs, versions of packages and digests of files."""
    flows = [flow, *checked.flows.values()]
    used = {entry.package for each in flows for entry in each.nodes.values() if entry.package}
    owners = sorted((packages.package(name) for name in used), key=lambda p: p.distribution)
    return {
        "nodegraph": __version__,
        "flow": flow.raw,
        **({"flows": {k: each.raw for k, each in checked.flows.items()}} if checked.flows else {}),
        "inputs": checked.inputs,
        "settings": dict(settings),
        "packages": {owner.distribution: owner.version for owner in owners},
        "files": digests(dict(sorted(checked.files.items()))),
    }


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of files, remembered by path, size, time and inode; "" for folders."""
    place = cache_folder() / "digests.json"
    known = _remembered(place)
    before = len(known)
    found = {k: _digest(path, known) if path.is_file() else "" for k, path in files.items()}
    if len(known) > before:
        _remember(place, known)
    return found


def _digest(path: Path, known: dict[str, str]) -> str:
    status = path.stat()
    key = f"{path}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return known[key]


def _remembered(place: Path) -> dict[str, str]:
    try:
        data = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if is_table(data) else {}


def _remember(place: Path, known: dict[str, str]) -> None:
    """Keep the digests; a cache that cannot be written is only slower."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = place.with_name(f"{place.name}.{id(known):x}")
        scratch.write_text(json.dumps(known), encoding="utf-8")
        scratch.replace(place)
    except OSError:
        return
