"""Many runs of one flow: rows of a file, requests on standard input, a sweep over numbers."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TextIO

from nodegraph.api import Session
from nodegraph.batching import Batch, Spread, here
from nodegraph.context import Cancelled
from nodegraph.errors import Problem, WorkflowError, one_line
from nodegraph.ledger import Answer, Ledger
from nodegraph.models import expanded
from nodegraph.rows import SHEET, Row, read_rows, requested
from nodegraph.sheet import write_sheet
from nodegraph.sweeps import combinations, labels
from nodegraph.worker import Job, Worker

from .display import Rows, rows_display
from .given import out_folder, session


def batch(arguments: argparse.Namespace) -> int:
    """Run a flow for each row; 1 where one failed."""
    work = session(arguments)
    if arguments.data == "-":
        return _serve(arguments, work)
    path = expanded(arguments.data)
    count = sum(1 for _ in read_rows(path, work.flow))
    if not count:
        raise WorkflowError([Problem("bad_rows", "", f"{path}: has no rows")])
    job = _job(arguments, work)
    with _aside() as stdout, Ledger(job.out) as ledger:
        batch = Batch(job, ledger, retry=arguments.retry, everything=arguments.all)
        return _run(batch, read_rows(path, work.flow), count, arguments, stdout)


def run_sweep(arguments: argparse.Namespace, work: Session) -> int:
    """Run a flow for each combination of swept values, and lay the pictures side by side."""
    rows = combinations(arguments.swept)
    job = _job(arguments, work)
    answered: dict[str, Answer] = {}
    with _aside() as stdout, Ledger(job.out) as ledger:
        batch = Batch(job, ledger, retry=True, everything=arguments.no_store)
        arguments.on = arguments.workers = None
        found = (answered.get(row.name) for row in rows)
        try:
            code = _run(batch, rows, len(rows), arguments, stdout, answered)
        except BaseException:
            with suppress(OSError):  # what was raised says more
                _sheet(job, found, arguments, stdout)
            raise
        _sheet(job, found, arguments, stdout)
        return code


def _job(arguments: argparse.Namespace, work: Session, *, fresh: bool = False) -> Job:
    return Job(
        work.flow,
        out_folder(arguments, work.flow).absolute(),
        work.given,
        tuple(str(folder.absolute()) for folder in work.models.folders),
        arguments.device,
        arguments.dtype,
        not arguments.no_store,
        arguments.checkpoint,
        fresh,
        work.reach,
        work.models.wary,
    )


def _run(
    batch: Batch,
    rows: Iterable[Row],
    count: int,
    arguments: argparse.Namespace,
    stdout: TextIO,
    answered: dict[str, Answer] | None = None,
) -> int:
    """Run rows and show how far they are; `answered` gets the answers by name."""
    show = rows_display(count, arguments.json, arguments.quiet, stdout)
    with show as shown:

        def tell(answer: Answer, before: bool) -> None:
            if answered is not None:
                answered[answer.id] = answer
            shown.answer(answer, before)

        try:
            batch.run(rows, _spread(batch.job, arguments, shown), tell)
        except (KeyboardInterrupt, Cancelled):
            shown.say(f"{shown.done} of {count} rows are done; the same command goes on")
            raise
        table = batch.write_table()
        shown.over(table)
    return 1 if shown.failed else 0


def _spread(job: Job, arguments: argparse.Namespace, shown: Rows) -> Spread:
    if arguments.on is None:
        if arguments.workers is not None:
            raise _usage("--workers needs --on ray; without it rows run in this process")
        return here(Worker(job, cancelled=arguments.stopped, listeners=[shown.hear]))
    from nodegraph.on_ray import on_ray

    return on_ray(job, arguments.on, arguments.workers, arguments.stopped, shown.say)


def _serve(arguments: argparse.Namespace, work: Session) -> int:
    """Answer requests until standard input ends; nothing else gets to standard output."""
    if arguments.on is not None:
        raise _usage("--data - answers from this process; give a file to run --on ray")
    if sys.stdin is None:
        raise _usage("--data - needs a standard input")
    job = _job(arguments, work, fresh=True)
    failed: list[str] = []
    with _answers() as write, Ledger(job.out) as ledger:

        def tell(answer: Answer, before: bool) -> None:
            if not answer.ok:
                failed.append(answer.id)
            write(json.dumps({**answer.to_json(), "before": before}, default=str))

        batch = Batch(job, ledger, retry=True, everything=arguments.all, guarded=True)
        worker = Worker(job, cancelled=arguments.stopped)
        rows = requested(work.flow, ledger.highest, ledger.has)
        batch.run(rows, here(worker), tell)
    return 1 if failed else 0


@contextmanager
def _answers() -> Generator[Callable[[str], None], None, None]:
    """Give what writes a line to standard output, and send what libraries print to stderr."""
    sys.stdout.flush()
    try:
        number = os.dup(1)
        os.dup2(2, 1)
    except OSError:
        raise _usage("--data - needs a standard output and a standard error") from None

    def write(line: str) -> None:
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(number, data) :]

    try:
        with redirect_stdout(sys.stderr):
            yield write
    finally:
        os.dup2(number, 1)
        os.close(number)


@contextmanager
def _aside() -> Generator[TextIO, None, None]:
    """Send what nodes print to stderr: it is no part of our answer, which goes to what is given."""
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):
        yield stdout


def _sheet(
    job: Job, answers: Iterable[Answer | None], arguments: argparse.Namespace, stdout: TextIO
) -> None:
    """Write the contact sheet of what there is, if there is a picture."""
    found = [_picture(job, answer) for answer in answers]
    if any(found):
        columns, down = labels(arguments.swept)
        path = job.out / SHEET
        write_sheet(path, found, columns, down)
        if not (arguments.json or arguments.quiet):
            print(path, file=stdout)


def _picture(job: Job, answer: Answer | None) -> Path | None:
    """Return the first picture among the outputs of a row."""
    files = answer.files if answer else []
    return next((job.out / file for file in files if file.endswith(".png")), None)


def _usage(message: str) -> WorkflowError:
    return WorkflowError([Problem("bad_usage", "", one_line(message))])
