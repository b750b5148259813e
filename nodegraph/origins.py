"""What a row of a batch comes from, in short: whether it has to be run again."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .api import Session
from .checking import model_inputs
from .digests import files_below
from .errors import WorkflowError
from .jsontext import is_list
from .models import Models, expanded
from .record import make_record, owners_of
from .rows import Row
from .values import Misfit
from .workflow import Literal


class Origins:
    """Knows what all rows of a batch come from."""

    def __init__(self, session: Session, device: str, dtype: str) -> None:
        """Check the flow without a row.

        Raises:
            WorkflowError: it is wrong.
        """
        self._session = session
        known = session.flow, session.packages, session.models, session.reach
        self._named = model_inputs(*known)
        self._base = self._common(device, dtype)

    def _common(self, device: str, dtype: str) -> str:
        session = self._session
        checked = session.check()
        if checked.plan is None:
            raise WorkflowError(checked.problems)
        told = {"device": device, "dtype": dtype}
        record = make_record(session.flow, checked, session.packages, told, session.digests)
        session.digests.remember()
        record.pop("environment")  # a batch may go on on another machine
        owners = owners_of(session.flow, checked, session.packages)
        record["sources"] = {
            o.name: session.packages.manifest(o.name).data["sources"] for o in owners
        }
        record["folders"] = {name: _stamp(path) for name, path in checked.folders.items()}
        return json.dumps({**record, "given": self._stated(session.given)})

    def of(self, row: Row) -> str:
        """Say what a row comes from; "" of what cannot be compared."""
        try:
            said = json.dumps(self._stated(row.values))
        except (TypeError, ValueError, RecursionError):
            return ""
        told = [str(problem) for problem in row.problems]
        return hashlib.sha256(f"{self._base}\0{said}\0{told}".encode()).hexdigest()[:32]

    def _stated(self, values: Mapping[str, Literal]) -> dict[str, Any]:
        """Return values as JSON has them, files with their size and time of change."""
        return {
            name: [literal.value, self._stamps(name, literal)]
            for name, literal in sorted(values.items())
        }

    def _stamps(self, name: str, literal: Literal) -> list[Any]:
        declared = self._session.flow.inputs.get(name)
        type_ = declared.type if declared else None
        if type_ is not None and type_.kind == "list":
            type_ = type_.item
        if name not in self._named and (type_ is None or type_.kind not in ("port", "file")):
            return []
        models = self._session.models
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
