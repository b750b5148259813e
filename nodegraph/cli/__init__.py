"""The command line: picks a command, and turns every error into one line and an exit code."""

import os
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 good, 1 a run failed, 2 the workflow or usage is wrong, 128 and its number after a signal.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    with _signals() as arrived:
        try:
            from .arguments import parse

            arguments = parse(words)
            arguments.stopped = lambda: bool(arrived)
            code: int = arguments.command(arguments)
            sys.stdout.flush()
        except SystemExit:
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except BaseException as error:  # noqa: BLE001 (the last border: told, or raised again)
            from .report import tell

            return tell(error, words, arrived)
        return code


def _open_streams() -> None:
    """Give a process that was started without stdout or stderr somewhere to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (as long as we live)


@contextmanager
def _signals() -> Generator[list[int], None, None]:
    """Collect signals, each also raised as KeyboardInterrupt: libraries have swallowed these."""
    arrived: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        arrived.append(number)
        raise KeyboardInterrupt

    heard = {"SIGINT", "SIGTERM", "SIGHUP"}
    before: list[tuple[signal.Signals, Any]] = []
    with suppress(ValueError):  # only the main thread hears signals
        before = [(s, signal.signal(s, stop)) for s in signal.Signals if s.name in heard]
    try:
        yield arrived
    finally:
        for number, handler in before:
            signal.signal(number, handler)
