"""The journal: every event of a run as one JSON line, appended and flushed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""`event` names it; `time` is in seconds since the epoch; `node` where it concerns one."""

Listener = Callable[[Event], None]


class Journal:
    """Appends events to a file that is never rewritten."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._encode = json.JSONEncoder(separators=(",", ":"), default=str).encode

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self._file.write(self._encode(event) + "\n")
        self._file.flush()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
