"""What a row of a batch comes from, in short: whether it has to be run again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .api import Session
from .errors import WorkflowError
from .jsontext import is_list
from .models import expanded
from .record import make_record
from .rows import Row
from .types import PortType
from .workflow import Literal, Workflow


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
    return json.dumps({**record, "given": _stated(session.given, session.flow)}, sort_keys=True)


def digest_of(base: str, flow: Workflow, row: Row) -> str:
    """Say what a row comes from; "" of what cannot be compared."""
    try:
        said = json.dumps(_stated(row.values, flow), sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return ""
    told = [str(problem) for problem in row.problems]
    return hashlib.sha256(f"{base}\0{said}\0{told}".encode()).hexdigest()[:32]


def _stated(values: Mapping[str, Literal], flow: Workflow) -> dict[str, Any]:
    """Return values as JSON has them, files with their size and time of change."""
    found: dict[str, Any] = {}
    for name, literal in values.items():
        declared = flow.inputs.get(name)
        found[name] = [literal.value, _stamps(literal, declared.type if declared else None)]
    return found


def _stamps(literal: Literal, type_: PortType | None) -> list[Any]:
    if type_ is not None and type_.kind == "list":
        type_ = type_.item
    if type_ is None or type_.kind not in ("port", "file"):
        return []
    values = literal.value if is_list(literal.value) else [literal.value]
    return [_stamp(literal.base / expanded(v)) for v in values if isinstance(v, str)]


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]
