"""One flow over many rows: models loaded once, each row in a folder of its own, resumable."""

import csv
import io
import json
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from .api import (
    Flow,
    Outputs,
    Session,
    default_store,
    given_values,
    process_memory,
    read_flow,
    with_settings,
)
from .errors import NodegraphError, PackageError, Problem, WorkflowError
from .journal import Listener
from .jsontext import is_list
from .ledger import Answer, Ledger
from .memory import Memory, memory_limit
from .models import Models, expanded
from .origins import common_origin, digest_of
from .reach import Reach, allowed_folders
from .rows import Row, given_rows, read_rows
from .settings import Settings
from .workflow import Literal, Workflow, plain_value
from .writing import write_whole

ERROR: Final = "error.json"
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
    allowed: tuple[Path, ...] = ()
    """Files and folders that paths in the flow may lead to."""

    def session(self) -> Session:
        """Return the flow as far as it is known without a row."""
        models = Models.searching(self.models)
        known = self.flow, dict(self.given)
        return Session(*known, models=models, allowed=self.allowed, explained=False)


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
        inputs = {name: plain_value(literal.value) for name, literal in row.values.items()}
        folder = self.job.out / row.name
        outputs: dict[str, Any] = {}
        problems: tuple[Problem, ...] = row.problems
        if folder.is_symlink():
            problems = (Problem("outside", "", f"{folder}: is a link; remove it"),)
        trace = ""
        if not problems:
            try:
                outputs = _shown(self._run(row, folder), self.job.out)
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
        _tell_beside(folder, inputs, told, trace)
        taken = round(perf_counter() - began, 6)
        where = f"{os.uname().nodename}:{os.getpid()}"
        return Answer(row.number, row.name, not told, taken, digest, inputs, outputs, told, where)

    def _run(self, row: Row, folder: Path) -> Outputs:
        models = Models.searching(self.job.models) if self.job.fresh else self.session.models
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


Spread = Callable[[Iterator[tuple[Row, str]]], Iterator[Answer]]
"""Runs rows, each with its digest, somewhere; answers come in any order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are to be run, and those that were."""

    job: Job
    ledger: Ledger
    retry: bool = False
    """Run rows again that failed."""
    everything: bool = False
    """Run all rows again."""
    names: list[str] = field(default_factory=list[str])
    """Rows in their order."""

    def run(
        self, rows: Iterable[Row], spread: Spread, tell: Callable[[Answer, bool], None]
    ) -> None:
        """Run what is not done yet; `tell` hears every answer, and whether it is from before.

        Raises:
            WorkflowError: the flow is wrong, whatever the rows say.
            NodegraphError: the ledger cannot be written.
        """
        base = common_origin(self.job.session(), self.job.device, self.job.dtype)

        def wanted() -> Iterator[tuple[Row, str]]:
            for row in rows:
                digest = digest_of(base, self.job.flow, row)
                self.names.append(row.name)
                if self._again(row, digest):
                    yield row, digest
                else:
                    tell(self.ledger.get(row.name), True)

        for answer in spread(wanted()):
            self.ledger.add(answer)
            tell(answer, False)

    def _again(self, row: Row, digest: str) -> bool:
        state = None if self.everything else self.ledger.state(row.name, digest)
        if state:
            return not all(
                (self.job.out / file).exists() for file in self.ledger.get(row.name).files
            )
        return state is None or self.retry

    def write_table(self) -> Path:
        """Write `rows.csv`: a line for each row, what it was given and what came of it."""
        names = list(dict.fromkeys(self.names))
        inputs, outputs = dict[str, None](), dict[str, None]()
        for a in map(self.ledger.get, names):  # one at a time: there may be a million
            inputs.update(dict.fromkeys(a.inputs))
            outputs.update(dict.fromkeys(a.outputs))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", "id", "ok", *inputs, *outputs, "error"])
        for a in map(self.ledger.get, names):
            given = [_cell(a.inputs.get(name)) for name in inputs]
            made = [_cell(a.outputs.get(name)) for name in outputs]
            said = "; ".join(problem["message"] for problem in a.problems)
            writer.writerow([a.row, a.id, "yes" if a.ok else "no", *given, *made, said])
        path = self.job.out / "rows.csv"
        write_whole(path, text.getvalue().encode("utf-8", "backslashreplace"))
        return path


def here(worker: Worker) -> Spread:
    """Return how rows are run in this process, one after the other."""

    def spread(rows: Iterator[tuple[Row, str]]) -> Iterator[Answer]:
        try:
            for row, digest in rows:
                yield worker.do(row, digest)
        finally:
            worker.close()

    return spread


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
    """Leave `error.json` in the folder of a row that failed, and none in that of another."""
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


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if is_list(value) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def batch(
    flow: Flow,
    rows: str | Path | Iterable[Mapping[str, Any]],
    *,
    out: str | Path,
    models: Sequence[str | Path] = (),
    device: str = "cpu",
    dtype: str = "auto",
    inputs: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    on: str = "",
    workers: int | None = None,
    retry: bool = False,
    everything: bool = False,
    store: bool = True,
    allow: Sequence[str | Path] = (),
    on_answer: Callable[[Answer, bool], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Answer]:
    """Run a flow once for each row, and return the answers in the order of the rows.

    Args:
        rows: a .csv, .tsv or .jsonl file, or values of declared inputs by name for each run; `id`
            names the row.
        out: folder of the batch: each row's outputs, `batch.jsonl`, `rows.csv`. Rows that stand
            there as done, from the same flow and values, are not run again.
        on: "ray" or "ray://host:10001" to spread the rows over a cluster, `workers` at once.
        retry: run rows again that failed.
        everything: run all rows again.
        on_answer: hears each answer, and whether it is from before.
        cancelled: asked between nodes and steps; the batch ends with `Cancelled`.

    The other arguments are those of `run`.

    Raises:
        WorkflowError: the flow or the file of rows is wrong; what fails in a row is in its answer.
    """
    read = with_settings(read_flow(flow), given_values(settings or {}))
    given = given_values(inputs or {})
    named = tuple(str(expanded(folder).absolute()) for folder in models)
    allowed = Reach.of(read, allowed_folders(allow)).places
    told = Path(out).absolute(), given, named, device, dtype, store
    job = Job(read, *told, allowed=allowed)
    if isinstance(rows, str | Path):
        found = read_rows(expanded(rows), read)
    else:
        found = given_rows(rows, read)

    def ignore(answer: Answer, before: bool) -> None:
        """Hear nothing."""

    with Ledger(job.out) as ledger:
        whole = Batch(job, ledger, retry, everything)
        if on:
            from .on_ray import on_ray

            spread = on_ray(job, on, workers, cancelled or (lambda: False), lambda line: None)
        else:
            memory = process_memory()
            spread = here(Worker(job, cancelled=cancelled, memory=memory))
        whole.run(found, spread, on_answer or ignore)
        whole.write_table()
        return [ledger.get(name) for name in whole.names]
