"""Shows a run's events: bars in a terminal, plain lines elsewhere, JSON lines on request."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, TextIO

from nodegraph.journal import Event, Listener

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def display(as_json: bool, quiet: bool, stdout: TextIO) -> Generator[Listener, None, None]:
    """Give what hears a run's events; paths of outputs go to `stdout`, progress to stderr."""
    if as_json:
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
        self.task: TaskID | None = None
        self.total = self.done = 0
        self.files: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        match event["event"]:
            case "loading":
                self.show("loading packages")
            case "planned":
                self.total = event["nodes"]
            case "started":
                self.show(event["node"])
            case "progress" if self.task is not None:
                done, total = event["done"], event["total"]
                self.progress.update(self.task, completed=done, total=total, steps=_steps(event))
            case "finished":
                self.done += 1
                self.clear()
                self.progress.console.print(_finished(event, self.done, self.total), markup=False)
            case "written":
                self.files.append(event)
            case _:
                pass

    def show(self, name: str) -> None:
        """Show a bar of this name and no other."""
        self.clear()
        self.task = self.progress.add_task(name, total=None, steps="")

    def clear(self) -> None:
        """Remove the bar."""
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None


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
    about = event["about"]
    if event["path"] is None:
        print(f"{event['output']}: {about}", file=stdout)
    else:
        print(event["path"] + (f" ({about})" if about else ""), file=stdout)


def _finished(event: Event, done: int, total: int) -> str:
    return f"[{done}/{total}] {event['node']} {_seconds(event['seconds'])}"


def _steps(event: Event) -> str:
    message = event.get("message")
    return f"{event['done']}/{event['total']}" + (f" {message}" if message else "")


def _left(event: Event, taken: float) -> str:
    done, total = event["done"], event["total"]
    return f", {_seconds(taken / done * (total - done))} left" if 0 < done < total else ""


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
