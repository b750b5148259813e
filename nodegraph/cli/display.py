"""Shows a run's events: bars in a terminal, plain lines elsewhere, JSON lines on request."""

import json
import sys
from abc import ABC, abstractmethod
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from nodegraph.journal import Event

if TYPE_CHECKING:
    from rich.progress import TaskID


class Display(ABC):
    """Hears a run's events while it is entered; says at the end where outputs are."""

    def __init__(self, stdout: TextIO) -> None:
        self.stdout = stdout

    def __enter__(self) -> "Display":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Show one event."""

    def written(self, event: Event) -> None:
        """Say where an output is."""
        about = f" ({event['about']})" if event["about"] else ""
        if event["path"] is None:
            print(f"{event['output']}: {event['about']}", file=self.stdout)
        else:
            print(f"{event['path']}{about}", file=self.stdout)


class Silent(Display):
    """Says nothing."""

    def __call__(self, event: Event) -> None:
        """Show nothing."""


class JsonLines(Display):
    """One JSON object a line on stdout."""

    def __call__(self, event: Event) -> None:
        """Print the event."""
        print(json.dumps(event, default=str), file=self.stdout, flush=True)


class PlainLines(Display):
    """A line on stderr when a node is done, and at most one a few seconds while it works."""

    every = 5.0

    def __init__(self, stdout: TextIO) -> None:
        super().__init__(stdout)
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
                self.say(f"{event['node']}: {_steps(event)}{_left(event, self.last - self.began)}")
            case "finished":
                self.done += 1
                self.say(f"[{self.done}/{self.total}] {event['node']} {_seconds(event['seconds'])}")
            case "written":
                self.written(event)
            case _:
                pass

    def say(self, line: str) -> None:
        """Print a line on stderr at once."""
        print(line, file=sys.stderr, flush=True)


class Bars(Display):
    """A line for each node with time taken, a bar for the one at work with time left."""

    def __init__(self, stdout: TextIO) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        super().__init__(stdout)
        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[steps]}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.total = self.done = 0
        self.files: list[Event] = []

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()
        for event in self.files:
            self.written(event)

    def __call__(self, event: Event) -> None:
        """Move the bars."""
        match event["event"]:
            case "loading":
                self.show("loading packages")
            case "planned":
                self.total = event["nodes"]
                self.clear()
            case "started":
                self.show(event["node"])
            case "progress" if self.task is not None:
                done, total = event["done"], event["total"]
                self.progress.update(self.task, completed=done, total=total, steps=_steps(event))
            case "finished":
                self.done += 1
                self.clear()
                taken = _seconds(event["seconds"])
                self.console.print(
                    f"[{self.done}/{self.total}] {event['node']} {taken}", markup=False
                )
            case "failed" | "cancelled":
                self.clear()
            case "written":
                self.files.append(event)
            case _:
                pass

    def show(self, name: str) -> None:
        """Show a bar."""
        self.clear()
        self.task = self.progress.add_task(name, total=None, steps="")

    def clear(self) -> None:
        """Remove the bar."""
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None


def make_display(as_json: bool, quiet: bool, stdout: TextIO) -> Display:
    """Choose how a run is shown."""
    if as_json:
        return JsonLines(stdout)
    if quiet:
        return Silent(stdout)
    return Bars(stdout) if sys.stderr.isatty() else PlainLines(stdout)


def _steps(event: Event) -> str:
    text = f"{event['done']}/{event['total']}"
    message: Any = event.get("message")
    return f"{text} {message}" if message else text


def _left(event: Event, taken: float) -> str:
    if not event["done"] or event["total"] <= event["done"]:
        return ""
    return f", {_seconds(taken / event['done'] * (event['total'] - event['done']))} left"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
