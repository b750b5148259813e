"""The journal: every event of a run as one JSON line at the end of a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import NodegraphError
from .writing import appending

Event = dict[str, Any]
"""`event` names it; `time` is in seconds since the epoch; `node` where it concerns one."""

Listener = Callable[[Event], None]


class Journal:
    """Appends events to a file that is never rewritten."""

    def __init__(self, path: Path) -> None:
        self._file = appending(path)
        if _is_cut(path):
            self._file.write(b"\n")  # of a run that was killed: its last line ends here
        self._encode = json.JSONEncoder(separators=(",", ":"), default=str).encode

    def __call__(self, event: Event) -> None:
        """Write one event.

        Raises:
            NodegraphError: the file cannot be written any more.
        """
        try:
            self._file.write(self._encode(event).encode() + b"\n")
        except OSError as error:
            message = f"{self._file.name}: the journal cannot be written: {error.strerror}"
            raise NodegraphError(message) from error

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        return size > 0 and (file.seek(size - 1), file.read(1))[1] != b"\n"
