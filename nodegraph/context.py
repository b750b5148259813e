"""What a running node may ask of whoever runs it: progress, cancellation, device, folders."""

import shutil
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .values import is_json, show
from .writing import deliver, scratch_folder

Report = Callable[[int, int, str], None]
Tell = Callable[[str, Any], None]
T = TypeVar("T")


class Cancelled(BaseException):
    """The run was cancelled; not an `Exception`, so that a node does not swallow it by accident."""


class Context:
    """Lent to a node that has a parameter of this type.

    Without a runner, `Context()` is silent, runs on the CPU and is never cancelled.
    """

    def __init__(
        self,
        *,
        device: str = "cpu",
        dtype: str = "auto",
        out: Path | None = None,
        record: Mapping[str, Any] | None = None,
        report: Report | None = None,
        tell: Tell | None = None,
        cancelled: Callable[[], bool] | None = None,
        items: tuple[int, ...] = (),
        partial: Path | None = None,
        every: int = 0,
        claim: Callable[[str], None] | None = None,
        lasting: bool = False,
    ) -> None:
        self.device = device
        self.dtype = dtype
        self._lasting = lasting
        self._record = record
        self._out = out or Path("out")
        self.notes: dict[str, Any] = {}
        """What the node told of itself with `note`."""
        self._items = items
        self.partial = partial
        """A folder that outlives a run that is broken off, for this node and these inputs alone;
        removed when the node is done. None where nothing is to be kept."""
        self.every = every
        """After how many steps the state of long work is to be kept in `partial`; 0 for never."""
        self._claim = claim
        self._report = report
        self._tell = tell
        self._cancelled = cancelled
        self._scratch: Path | None = None

    @property
    def record(self) -> Mapping[str, Any] | None:
        """The run's record, for nodes that write files which can carry it.

        Raises:
            RuntimeError: the node's result is stored, and so may not depend on it.
        """
        return self._of_this_run("record", self._record)

    @property
    def items(self) -> tuple[int, ...]:
        """Where the node, or a flow around it, is mapped: the number of this item, from 1.

        Raises:
            RuntimeError: the node's result is stored, and so may not depend on it.
        """
        return self._of_this_run("items", self._items)

    @property
    def out(self) -> Path:
        """Folder of the run's results; made when it is first asked for.

        Raises:
            RuntimeError: the node's result is stored, so that it does not run each time.
        """
        self._of_this_run("out", self._out).mkdir(parents=True, exist_ok=True)
        return self._out

    @property
    def scratch(self) -> Path:
        """Temporary folder, deleted when the node is done."""
        if self._scratch is None:
            self._scratch = scratch_folder()
            self._discard = weakref.finalize(self, shutil.rmtree, self._scratch, True)
        return self._scratch

    def _of_this_run(self, name: str, value: T) -> T:
        if self._lasting:
            said = "the result of this node is stored, for runs where that is something else"
            raise RuntimeError(f"context.{name}: {said}; declare it with @node(cache=False)")
        return value

    def deliver(self, paths: Iterable[Path]) -> None:
        """Move finished files, such as from `scratch`, into `out`, each in one step.

        Raises:
            ValueError: another node of this run has written a file of that name.
            OSError: the folder cannot be written; what stood there still does.
        """
        for path in paths:
            if self._claim is not None:
                self._claim(path.name)
            deliver(path, self.out / path.name)

    def close(self) -> None:
        """Delete the scratch folder, if there is one."""
        if self._scratch is not None:
            self._discard()
            self._scratch = None

    def note(self, name: str, value: Any) -> None:
        """Tell something, as JSON has it, that the journal and the run's record are to carry.

        The record is what written pictures hold: the same inputs have to give the same notes.

        Raises:
            ValueError: JSON cannot hold the value.
        """
        if not is_json(value):
            raise ValueError(f"the note {name!r} is {show(value)}, which JSON cannot hold")
        self.notes[name] = value
        if self._tell is not None:
            self._tell(name, value)

    def silent(self) -> "Context":
        """Return a context for a node that this one calls: it says nothing, but can be stopped."""
        return Context(device=self.device, dtype=self.dtype, cancelled=self._cancelled)

    def check(self) -> None:
        """Stop here if the run was cancelled.

        Raises:
            Cancelled: it was.
        """
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Say that `done` of `total` steps are finished, and stop here if the run was cancelled.

        Raises:
            Cancelled: the run was cancelled.
        """
        if self._report is not None:
            self._report(done, total, message)
        self.check()
