"""The command line: picks a command, and turns every error into one line and an exit code."""

import os
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread, current_thread, main_thread
from threading import enumerate as enumerate_threads
from types import FrameType
from typing import Any


class Leave(SystemExit):
    """The command line itself is done, such as with `--help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 good, 1 a run failed, 2 the workflow or usage is wrong, 128 and its number after a signal.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    code = _main(words)
    if argv is None and _abandoned():  # a library is still at work in a thread that cannot be ended
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _abandoned() -> bool:
    return any(thread.name.startswith("nodegraph") for thread in enumerate_threads())


def _main(words: list[str]) -> int:
    with _signals() as arrived:
        try:
            from .arguments import parse

            arguments = parse(words)
            arguments.stopped = lambda: bool(arrived)
            code: int = arguments.command(arguments)
            sys.stdout.flush()
        except Leave:
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except BaseException as error:  # noqa: BLE001 (the last border: told, or raised again)
            from .report import tell

            with suppress(KeyboardInterrupt):  # a signal that comes meanwhile
                return tell(error, words, arrived)
            return 128 + (arrived[0] if arrived else signal.SIGINT)
        return code


def _open_streams() -> None:
    """Give a process that was started without stdout or stderr somewhere to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (as long as we live)


@contextmanager
def _signals() -> Generator[list[int], None, None]:
    """Collect signals, each also raised as KeyboardInterrupt: libraries have swallowed these.

    Python tells of a signal when it gets to run; a thread hears of it at once, while a library is
    at work, too. It says that the run is stopping, and ends the process at a second signal.
    """
    arrived: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if arrived:  # raised once more, it would end what tells of the first one
            os._exit(128 + number)
        arrived.append(number)
        raise KeyboardInterrupt

    if current_thread() is not main_thread():  # only the main thread hears signals
        yield arrived
        return
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    heard = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP")]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
        heard.remove(signal.SIGHUP)
    before: list[tuple[signal.Signals, Any]] = [(s, signal.signal(s, stop)) for s in heard]
    other = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    Thread(target=_listen, args=(ear, set(map(int, heard))), daemon=True).start()
    try:
        yield arrived
    finally:
        signal.set_wakeup_fd(other)
        os.close(mouth)  # which ends the thread, and that closes the other end
        for number, handler in before:
            signal.signal(number, handler)


def _listen(ear: int, heard: set[int]) -> None:
    """Say at a first signal that the run is stopping, and end the process at a second."""
    count = 0
    while data := os.read(ear, 1):
        if data[0] not in heard:
            continue
        count += 1
        if count > 1:
            os._exit(128 + data[0])
        with suppress(OSError):
            os.write(2, b"stopping; once more ends at once\n")
    os.close(ear)
