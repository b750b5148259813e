"""Shows a run's events: bars in a terminal, plain lines elsewhere, JSON lines on request."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final, TextIO

from nodegraph.errors import one_line
from nodegraph.journal import Event, Listener

if TYPE_CHECKING:
    from rich.progress import Progress

MANY: Final = 200
"""Nodes of a flow from which on a terminal shows no line for a node that took no time."""


@contextmanager
def display(in_json: bool, quiet: bool, stdout: TextIO) -> Generator[Listener, None, None]:
    """Give what hears a run's events; paths of outputs go to `stdout`, progress to stderr.

    Raises:
        OSError: at the end, when a stream was full or closed; the run itself has lost nothing.
    """
    faults: list[OSError] = []
    with _listener(in_json, quiet, stdout) as listener:

        def hear(event: Event) -> None:
            try:
                if not faults:
                    listener(event)
            except OSError as error:
                faults.append(error)

        yield hear
    if faults:
        raise faults[0]


@contextmanager
def _listener(in_json: bool, quiet: bool, stdout: TextIO) -> Generator[Listener, None, None]:
    if in_json:
        yield lambda event: print(json.dumps(event, default=str), file=stdout, flush=True)
    elif quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _bars() as progress:
            bars = Bars(progress)
            yield bars
        for event in bars.files:
            _print_written(event, stdout)
    else:
        yield PlainLines(stdout)


class PlainLines:
    """A line on stderr when a node is done, and one every few seconds while it works."""

    every = 5.0

    def __init__(self, stdout: TextIO) -> None:
        self.stdout = stdout
        self.total = self.done = 0
        self.began = self.last = perf_counter()

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        match event["event"]:
            case "planned":
                self.total = event["nodes"]
            case "started":
                self.began = self.last = perf_counter()
            case "progress" if perf_counter() - self.last >= self.every:
                self.last = perf_counter()
                left = _left(event, self.last - self.began)
                print(f"{event['node']}: {_steps(event)}{left}", file=sys.stderr, flush=True)
            case "finished":
                self.done += 1
                print(_finished(event, self.done, self.total), file=sys.stderr, flush=True)
            case "written":
                _print_written(event, self.stdout)
            case _:
                pass


class Bars:
    """A line for each node that is done, a bar with time left for the one at work."""

    def __init__(self, progress: "Progress") -> None:
        self.progress = progress
        self.task = progress.add_task("loading packages", total=None, steps="")
        self.total = self.done = 0
        self.files: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        match event["event"]:
            case "planned":
                self.total = event["nodes"]
            case "started":
                self.progress.tasks[0].total = None  # `update` cannot unset it
                self.progress.update(self.task, description=event["node"], completed=0, steps="")
            case "progress":
                done, total = event["done"], event["total"]
                self.progress.update(self.task, completed=done, total=total, steps=_steps(event))
            case "finished":
                self.done += 1
                if self.total < MANY or event["seconds"] >= 0.1:
                    line = _finished(event, self.done, self.total)
                    self.progress.console.print(line, markup=False)
            case "written":
                self.files.append(event)
            case _:
                pass


def _bars() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[steps]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )


def _print_written(event: Event, stdout: TextIO) -> None:
    about = one_line(event["about"])
    if event["path"] is None:
        print(f"{event['output']}: {about}", file=stdout)
    else:
        print(event["path"] + (f" ({about})" if about else ""), file=stdout)


def _finished(event: Event, done: int, total: int) -> str:
    return f"[{done}/{total}] {event['node']} {_seconds(event['seconds'])}"


def _steps(event: Event) -> str:
    return one_line(f"{event['done']}/{event['total']} {event.get('message', '')}").rstrip()


def _left(event: Event, taken: float) -> str:
    done, total = event["done"], event["total"]
    return f", {_seconds(taken / done * (total - done))} left" if 0 < done < total else ""


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
