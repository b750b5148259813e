"""What runs the rows of a batch in one process, and keeps the models between them."""

import json
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from .api import (
    Outputs,
    Session,
    default_store,
)
from .errors import NodegraphError, PackageError, Problem, WorkflowError
from .journal import Listener
from .ledger import Answer
from .memory import Memory, memory_limit
from .models import Models
from .reach import Reach
from .rows import Row
from .settings import Settings
from .values import is_json, show
from .workflow import Literal, Workflow, plain_value
from .writing import write_whole

ERROR: Final = "row-error.json"
"""No output can be called so: names of outputs have no hyphen."""
_TIDY: Final = 100
"""Rows after which what was learnt is kept and the store is trimmed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all rows of a batch have in common; it can be sent to another process."""

    flow: Workflow
    out: Path
    given: Mapping[str, Literal] = field(default_factory=dict[str, Literal])
    models: tuple[str | Path, ...] = ()
    device: str = "cpu"
    dtype: str = "auto"
    store: bool = True
    checkpoint: int = 0
    fresh: bool = False
    """Look anew for models at each row: the batch has no end."""
    reach: Reach | None = None
    """Where paths in the flow may lead."""
    wary: bool = False
    """The flow is a stranger's: of the probes of models only our own are asked."""

    def session(self) -> Session:
        """Return the flow as far as it is known without a row."""
        models = self.search()
        known = self.flow, dict(self.given)
        return Session(*known, models=models, reach=self.reach, explained=False)

    def search(self) -> Models:
        """Look anew for models."""
        return Models.searching(self.models, wary=self.wary)


class Worker:
    """Runs rows one after the other in this process, and keeps the models between them."""

    def __init__(
        self,
        job: Job,
        *,
        cancelled: Callable[[], bool] | None = None,
        listeners: Iterable[Listener] = (),
        memory: Memory | None = None,
    ) -> None:
        """Get ready; `memory` is where models are kept, one of its own unless it is given."""
        self.job = job
        self.session = job.session()
        self._listeners = list(listeners)
        self._done = 0
        self._settings = Settings(
            job.out,
            job.device,
            job.dtype,
            cancelled,
            store=default_store() if job.store else None,
            memory=Memory(memory_limit()) if memory is None else memory,
            checkpoint=job.checkpoint,
        )

    def do(self, row: Row, digest: str) -> Answer:
        """Run a row; what fails is said in the answer and beside the row's outputs.

        Raises:
            PackageError: a package is broken, which no other row would survive either.
            Cancelled: the batch was cancelled.
        """
        began = perf_counter()
        inputs = stated(row)
        folder = self.job.out / row.name
        outputs: dict[str, Any] = {}
        saved: tuple[str, ...] = ()
        problems: tuple[Problem, ...] = row.problems
        if folder.is_symlink():
            problems = (Problem("outside", "", f"{folder}: is a link; remove it"),)
        trace = ""
        if not problems:
            try:
                made = self._run(row, folder)
                outputs = _shown(made, self.job.out)
                saved = tuple(f"{row.name}/{file}" for file in made.saved)
            except PackageError:
                raise
            except WorkflowError as error:
                problems = error.problems
            except NodegraphError as error:
                where = f"/nodes/{error.node}" if error.node else ""
                problems = (Problem(error.code, where, str(error)),)
                trace = "".join(traceback.format_exception(error))
            except OSError as error:
                said = f"{error.filename or folder}: {error.strerror or error}"
                problems = (Problem("failed", "", said),)
        told = tuple({"code": p.code, "pointer": p.pointer, "message": p.message} for p in problems)
        if row.named and not folder.is_symlink():
            _tell_beside(folder, inputs, told, trace)
        taken = round(perf_counter() - began, 6)
        where = f"{os.uname().nodename}:{os.getpid()}"
        rest = inputs, outputs, told, where, saved
        return Answer(row.number, row.name, not told, taken, digest, *rest)

    def _run(self, row: Row, folder: Path) -> Outputs:
        models = self.job.search() if self.job.fresh else self.session.models
        given = {**self.session.given, **row.values}
        session = replace(self.session, given=given, models=models)
        outputs = session.once(replace(self._settings, out=folder), listeners=self._listeners)
        self._done += 1
        if self._done % _TIDY == 0:
            self.close()
        return outputs

    def close(self) -> None:
        """Keep what was learnt of files, and hold the store to its limit."""
        self.session.close(self._settings.store)


def stated(row: Row) -> dict[str, Any]:
    """Return a row's values as an answer has them: what JSON cannot hold is a text about it."""
    values = {name: plain_value(literal.value) for name, literal in row.values.items()}
    return {name: v if is_json(v) else show(v) for name, v in values.items()}


def _shown(outputs: Outputs, out: Path) -> dict[str, Any]:
    """Return outputs as an answer says them: files by output, and values that are one word."""
    found: dict[str, Any] = {}
    for written in outputs.written:
        value = outputs[written.name]
        if isinstance(value, bool | int | float | str):
            found[written.name] = value
        elif written.path is not None:
            name = written.path.relative_to(out).as_posix()
            found.setdefault(written.name, []).append(name)
    return found


def _tell_beside(
    folder: Path, inputs: Mapping[str, Any], problems: tuple[Any, ...], trace: str
) -> None:
    """Leave a file in the folder of a row that failed, and none in that of another."""
    path = folder / ERROR
    try:
        if not problems:
            path.unlink(missing_ok=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        said = {"problems": problems, "inputs": inputs, **({"traceback": trace} if trace else {})}
        text = json.dumps(said, indent=2, ensure_ascii=False, default=str)
        write_whole(path, f"{text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return  # the ledger says the same
