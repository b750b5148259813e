"""One flow over many rows: models loaded once, each row in a folder of its own, resumable."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from .api import (
    Flow,
    given_values,
    process_memory,
    read_flow,
    with_settings,
)
from .errors import Problem
from .jsontext import is_list
from .ledger import Answer, Ledger
from .models import expanded
from .origins import Origins
from .reach import Reach, allowed_folders
from .rows import Row, given_rows, read_rows
from .worker import Job, Worker, stated
from .writing import write_whole

_OWN: Final = ("row", "id", "ok", "error")
"""Columns of a table that are neither inputs nor outputs."""

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
    guarded: bool = False
    """Refuse a row whose name has a result from other values: it may be somebody else's."""
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
        session = self.job.session()
        origins = Origins(session, self.job.device, self.job.dtype)

        def wanted() -> Iterator[tuple[Row, str]]:
            for each in rows:
                row = self._guard(each) if self.guarded else each
                digest = origins.of(row)
                self.names.append(row.name)
                if self._again(row, digest):
                    self.ledger.begin(row.number, row.name, digest)
                    yield row, digest
                else:
                    tell(replace(self.ledger.get(row.name), row=row.number), True)

        for answer in spread(wanted()):
            self.ledger.add(answer)
            tell(answer, False)

    def _again(self, row: Row, digest: str) -> bool:
        state = None if self.everything else self.ledger.state(row.name, digest)
        if state:
            files = self.ledger.get(row.name).files
            return not all(os.path.exists(self.job.out / file) for file in files)  # noqa: PTH110
        return state is None or self.retry

    def _guard(self, row: Row) -> Row:
        if not self.ledger.has(row.name):
            return row
        before = self.ledger.get(row.name)
        same = not row.problems and _text(before.inputs) == _text(stated(row))
        if not before.ok or same:
            return row
        message = f"the id {row.name!r} has a result from other values; choose another id"
        return row.unnamed(row.problems or [Problem("id_taken", "", message)])

    def answers(self) -> Iterator[Answer]:
        """Yield the answers to all rows, in the order and with the numbers of this time."""
        for number, name in enumerate(self.names, 1):  # one at a time: there may be a million
            yield replace(self.ledger.get(name), row=number)

    def write_table(self) -> Path:
        """Write `rows.csv`: a line for each row, what it was given and what came of it.

        A name that would stand twice has `inputs.` or `outputs.` in front.
        """
        inputs, outputs = dict[str, None](), dict[str, None]()
        for a in self.answers():
            inputs.update(dict.fromkeys(a.inputs))
            outputs.update(dict.fromkeys(a.outputs))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        count = Counter([*_OWN, *self.job.flow.inputs, *self.job.flow.outputs])
        heads = [f"inputs.{name}" if count[name] > 1 else name for name in inputs]
        heads += [f"outputs.{name}" if count[name] > 1 else name for name in outputs]
        *first, last = _OWN
        writer.writerow([*first, *heads, last])
        for a in self.answers():
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


def _text(inputs: Mapping[str, Any]) -> str:
    return json.dumps(inputs, sort_keys=True, default=str)


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
    reach = Reach.of(read, allowed_folders(allow))
    told = Path(out).absolute(), given, named, device, dtype, store
    job = Job(read, *told, reach=reach)
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
        return list(whole.answers())
