"""Tries a package in a child process: a node that hangs, or ends its process, is a fault."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Final

from .conformance import Check, trials
from .errors import PackageError, reason
from .packages import Packages

PATIENCE: Final = 60.0
"""Seconds for one check; a node that is stopped where it reports progress needs far less."""
_CHILD: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    "from nodegraph.watching import answer; answer(sys.argv[1])"
)


def try_apart(name: str, packages: Packages) -> Iterator[Check]:
    """Yield all checks of a package, whatever its nodes do to the process that they run in.

    Raises:
        PackageError: it cannot be imported at all, or two distributions provide it.
        KeyError: there is no such package.
    """
    child = _Child(name)
    try:
        for number, trial in enumerate(trials(name, packages)):
            found = child.ask(number)
            if isinstance(found, Check):
                yield found
            else:
                yield Check(trial.node, trial.what, found)
                child.close()
                child = _Child(name)
    finally:
        child.close()


class _Child:
    """A process that looks at one thing at a time, started at the first question."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: SimpleQueue[str] = SimpleQueue()

    @cached_property
    def _process(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-c", _CHILD, self._name, json.dumps(sys.path)]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")
        Thread(target=self._read, args=(child.stdout,), daemon=True).start()
        return child

    def _read(self, answers: IO[str]) -> None:
        with answers:
            for line in answers:
                self._lines.put(line)
        self._lines.put("")

    def ask(self, number: int) -> Check | str:
        """Return what the child found, or what has become of it."""
        with suppress(OSError):  # it has ended, which the answer says
            assert self._process.stdin is not None
            self._process.stdin.write(f"{number}\n")
            self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=PATIENCE)
        except Empty:
            help_ = "call Context.progress in its loops, and wait for nothing for ever"
            return f"not done after {PATIENCE:.0f} s, and did not stop; {help_}"
        if line:
            return Check(**json.loads(line))
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        return f"ended the process that it ran in ({_ended(self._process.returncode)})"

    def close(self) -> None:
        """End the process, whatever it is at."""
        if "_process" in vars(self):
            self._process.kill()
            with suppress(OSError), self._process:  # which closes what it never read, and waits
                self._process.stdout = None  # the thread's own


def answer(name: str) -> None:
    """Be the child: answer each number with what is found there, apart from what nodes print."""
    asked, told = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", 1, "utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends this process
    listed = list(trials(name, Packages.installed()))
    for line in asked:
        trial = listed[int(line)]
        try:
            found = trial.look()
        except Exception as error:  # noqa: BLE001 (a stranger's code)
            said = str(error) if isinstance(error, PackageError) else reason(error)
            found = Check(trial.node, trial.what, said)
        told.write(json.dumps(asdict(found)) + "\n")


def _ended(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
