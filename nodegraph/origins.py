"""What a row of a batch comes from, in short: whether it has to be run again."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .api import Session
from .digests import files_below
from .errors import WorkflowError
from .jsontext import is_list
from .models import Models, expanded
from .record import make_record, owners_of
from .rows import Row
from .types import PortType
from .values import Misfit
from .workflow import Literal


def common_origin(session: Session, device: str, dtype: str) -> str:
    """Check a flow without a row, and say what all rows come from.

    Raises:
        WorkflowError: it is wrong.
    """
    checked = session.check()
    if checked.plan is None:
        raise WorkflowError(checked.problems)
    told = {"device": device, "dtype": dtype}
    record = make_record(session.flow, checked, session.packages, told, session.digests)
    session.digests.remember()
    record.pop("environment")  # a batch may go on on another machine
    owners = owners_of(session.flow, checked, session.packages)
    record["sources"] = {o.name: session.packages.manifest(o.name).data["sources"] for o in owners}
    record["folders"] = {name: _stamp(path) for name, path in checked.folders.items()}
    return json.dumps({**record, "given": _stated(session.given, session)}, sort_keys=True)


def digest_of(base: str, session: Session, row: Row) -> str:
    """Say what a row comes from; "" of what cannot be compared."""
    try:
        said = json.dumps(_stated(row.values, session), sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return ""
    told = [str(problem) for problem in row.problems]
    return hashlib.sha256(f"{base}\0{said}\0{told}".encode()).hexdigest()[:32]


def _stated(values: Mapping[str, Literal], session: Session) -> dict[str, Any]:
    """Return values as JSON has them, files with their size and time of change."""
    found: dict[str, Any] = {}
    for name, literal in values.items():
        declared = session.flow.inputs.get(name)
        type_ = declared.type if declared else None
        found[name] = [literal.value, _stamps(literal, type_, session.models)]
    return found


def _stamps(literal: Literal, type_: PortType | None, models: Models) -> list[Any]:
    if type_ is not None and type_.kind == "list":
        type_ = type_.item
    if type_ is None or type_.kind not in ("port", "file"):
        return []
    values = literal.value if is_list(literal.value) else [literal.value]
    return [_stamp(_place(v, literal.base, models)) for v in values if isinstance(v, str)]


def _place(name: str, base: Path, models: Models) -> Path:
    """Return where a file is, or the model of that name."""
    path = base / expanded(name)
    with suppress(OSError, Misfit):
        return path if path.exists() else models.resolve(name, base)
    return path


def _stamp(path: Path) -> Any:
    """Return size and time of change of a file, or of all files below a folder in short."""
    try:
        if not path.is_dir():
            return _seal(path.stat())
        seals = [[name, file and _seal(file.stat())] for name, file in files_below(path)]
    except (OSError, ValueError):
        return []
    return hashlib.sha256(json.dumps(seals).encode()).hexdigest()


def _seal(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns]
