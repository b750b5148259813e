"""Shows a run's events: bars in a terminal, plain lines elsewhere, JSON lines on request."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, TextIO

from nodegraph.errors import one_line
from nodegraph.journal import Event, Listener
from nodegraph.ledger import Answer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

MANY: Final = 200
"""Nodes of a flow from which on a terminal shows no line for a node that took no time."""
_WORTH_A_LINE: Final = 0.1
"""Seconds from which on a node within a group is told of."""

_OVER: Final = {"finished": "", "cached": "from {where}", "skipped": "skipped, {because}"}


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


class Done:
    """Counts the nodes of the flow itself, and says of each that is over what is worth a line."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def line(self, event: Event) -> str:
        """Return a line, or "" for a node of a group that took no time."""
        name = event["node"]
        within = "/" in name or "[" in name
        self.done += not within
        if within and event.get("seconds", 0) < _WORTH_A_LINE:
            return ""
        said = _OVER[event["event"]].format(**event) or _seconds(event["seconds"])
        return f"{name} {said}" if within else f"[{self.done}/{self.total}] {name} {said}"


class PlainLines:
    """A line on stderr when a node is done, and one every few seconds while it works."""

    every = 5.0

    def __init__(self, stdout: TextIO) -> None:
        self.stdout = stdout
        self.done = Done()
        self.began: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        match event["event"]:
            case "planned":
                self.done.total = event["nodes"]
            case "started":
                self.began[event["node"]] = self.last[event["node"]] = perf_counter()
            case "progress" if perf_counter() - self.last[event["node"]] >= self.every:
                name, now = event["node"], perf_counter()
                self.last[name] = now
                left = _left(event, now - self.began[name])
                print(f"{name}: {_steps(event)}{left}", file=sys.stderr, flush=True)
            case "finished" | "skipped" | "cached":
                self.began.pop(event["node"], None)
                if line := self.done.line(event):
                    print(line, file=sys.stderr, flush=True)
            case "written":
                _print_written(event, self.stdout)
            case "store_off" | "damaged" | "changed" as kind:
                print(_warning(event), file=sys.stderr, flush=True)
                self.done = Done() if kind == "damaged" else self.done
            case _:
                pass


class Bars:
    """A line for each node that is done, a bar with time left for each one at work."""

    def __init__(self, progress: "Progress") -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {"": self._loading()}
        self.done = Done()
        self.files: list[Event] = []

    def _loading(self) -> "TaskID":
        return self.progress.add_task("loading packages", total=None, steps="")

    def _begin_anew(self, anew: bool) -> None:
        if anew:
            for task in self.tasks.values():
                self.progress.remove_task(task)
            self.tasks, self.done = {"": self._loading()}, Done()

    def __call__(self, event: Event) -> None:
        """Move the bars."""
        match event["event"]:
            case "planned":
                self.done.total = event["nodes"]
                self.progress.remove_task(self.tasks.pop(""))
            case "started" if self.done.total < MANY:
                task = self.progress.add_task(event["node"], total=None, steps="")
                self.tasks[event["node"]] = task
            case "progress" if event["node"] in self.tasks:
                done, total, task = event["done"], event["total"], self.tasks[event["node"]]
                self.progress.update(task, completed=done, total=total, steps=_steps(event))
            case "finished" | "skipped" | "cached":
                task_ = self.tasks.pop(event["node"], None)
                if task_ is not None:
                    self.progress.remove_task(task_)
                line = self.done.line(event)
                if line and (self.done.total < MANY or event.get("seconds", 0) >= _WORTH_A_LINE):
                    self.progress.console.print(line, markup=False)
            case "written":
                self.files.append(event)
            case "store_off" | "damaged" | "changed" as kind:
                self.progress.console.print(_warning(event), markup=False)
                self._begin_anew(kind == "damaged")
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


def _warning(event: Event) -> str:
    if event["event"] == "changed":
        files = one_line(", ".join(event["files"]))
        return f"nodegraph: written while the flow ran: {files}; run it again; nothing was stored"
    why = one_line(event["why"])
    if event["event"] == "damaged":
        return f"nodegraph: a stored result was damaged and is computed again: {why}"
    return f"nodegraph: nothing more is stored for the next run: {why}"


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


class Rows:
    """Shows how far a batch is: a bar in a terminal, a line every few seconds elsewhere."""

    every = 5.0

    def __init__(self, total: int, in_json: bool, quiet: bool, stdout: TextIO) -> None:
        self.total, self.in_json, self.quiet, self.stdout = total, in_json, quiet, stdout
        self.done = self.failed = self.before = 0
        self.began = self.last = perf_counter()
        self.bars: Progress | None = None
        self.now = ""

    def answer(self, answer: Answer, before: bool) -> None:
        """Count a row, and tell of one that failed."""
        self.done += 1
        self.before += before
        self.failed += not answer.ok
        if self.in_json:
            line = json.dumps({**answer.to_json(), "before": before}, default=str)
            print(line, file=self.stdout, flush=True)
        if not answer.ok:
            first = answer.problems[0]["message"] if answer.problems else "no reason given"
            again = "failed before; --retry runs it again: " if before else ""
            self.say(f"row {answer.row} ({answer.id}): {again}{first}", error=True)
        self._show()

    def hear(self, event: Event) -> None:
        """Say what the row at work is about, where there is a bar."""
        if self.bars is not None and event["event"] == "progress":
            self.now = f"{event['node']} {_steps(event)}"
            self._show()

    def say(self, line: str, *, error: bool = False) -> None:
        """Print a line on stderr."""
        if self.quiet and not error:
            return
        if self.bars is not None:
            self.bars.console.print(one_line(line), markup=False)
        else:
            print(one_line(line), file=sys.stderr, flush=True)

    def over(self, table: Path) -> None:
        """Say what became of all rows."""
        made = self.done - self.before
        parts = [f"{made} rows run", f"{self.before} from before", f"{self.failed} failed"]
        self.say(", ".join(part for part in parts if not part.startswith("0 ")) or "no rows")
        if not (self.quiet or self.in_json):
            print(table, file=self.stdout, flush=True)

    def _state(self) -> str:
        """Say how many rows there are a second, and how long the others will take."""
        made, taken = self.done - self.before, perf_counter() - self.began
        said = f"{self.done}/{self.total} rows"
        if self.failed:
            said += f", {self.failed} failed"
        if not made:
            return said
        left = taken / made * (self.total - self.done)
        return f"{said}, {_rate(made / taken)}" + (f", {_seconds(left)} left" if left else "")

    def _show(self) -> None:
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], completed=self.done, state=self._state())
            self.bars.update(self.bars.task_ids[0], description=self.now)
        elif not (self.quiet or self.in_json) and perf_counter() - self.last >= self.every:
            self.last = perf_counter()
            self.say(self._state())


@contextmanager
def rows_display(
    total: int, in_json: bool, quiet: bool, stdout: TextIO
) -> Generator[Rows, None, None]:
    """Give what shows a batch."""
    rows = Rows(total, in_json, quiet, stdout)
    if quiet or in_json or not sys.stderr.isatty():
        yield rows
        return
    with _row_bars() as rows.bars:
        rows.bars.add_task("", total=total, state=f"0/{total} rows")
        yield rows


def _row_bars() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[state]}", markup=False),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )


def _rate(each: float) -> str:
    return f"{each:.1f} rows/s" if each >= 1 else f"{60 * each:.1f} rows/min"
