"""Models between the runs of one process: what has no form on disk is kept here, within a limit."""

import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, Final

from .errors import Problem, WorkflowError
from .jsontext import is_list
from .ports import declared_port

GIB: Final = 2**30
_SHARE: Final = 0.5
"""The part of the machine's memory that may be filled, unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class _Held:
    outputs: Mapping[str, Any]
    notes: Sequence[Any]
    bytes: int


class Memory:
    """Results by their keys, for any number of threads; what was not used longest leaves first."""

    def __init__(self, limit: int) -> None:
        """Hold up to `limit` bytes."""
        self.limit = limit
        self.bytes = 0
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Count the results."""
        return len(self._held)

    def has(self, key: str) -> bool:
        """Say whether a result is held."""
        return key in self._held

    def get(self, key: str) -> tuple[dict[str, Any], list[Any]] | None:
        """Return outputs by port, and notes; None when the result has left meanwhile."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            self._held.move_to_end(key)
        return dict(held.outputs), list(held.notes)

    def put(self, key: str, outputs: Mapping[str, Any], notes: Sequence[Any] = ()) -> bool:
        """Hold a result, if it is a model or the like, its size is known, and the limit allows."""
        size = _size(outputs.values())
        if size is None or size > self.limit:
            return False
        with self._lock:
            if key in self._held:
                return True
            while self.bytes + size > self.limit:
                self.bytes -= self._held.popitem(last=False)[1].bytes
            self._held[key] = _Held(dict(outputs), list(notes), size)
            self.bytes += size
        return True

    def drop(self, key: str) -> None:
        """Let go of one result, if it is held."""
        with self._lock:
            held = self._held.pop(key, None)
            self.bytes -= held.bytes if held else 0

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._held.clear()
            self.bytes = 0


def _size(values: Any) -> int | None:
    """Count the bytes of values of which at least one cannot be stored; else None."""
    total, found = 0, False
    for value in values:
        declared = declared_port(value)
        if is_list(value):
            inner = _size(value)
            if inner is None:
                return None
            total, found = total + inner, True
        elif declared is not None:
            if not declared.codec.can("size"):
                return None
            total += declared.codec.size(value)
            found = found or not declared.codec.can("dump")
    return total if found else None


def memory_limit() -> int:
    """Return how many bytes may be held: NODEGRAPH_MEMORY in GiB, or half of the machine's.

    Raises:
        WorkflowError: that is no number of at least 0.
    """
    said = os.environ.get("NODEGRAPH_MEMORY")
    if not said:
        return int(_machine() * _SHARE)
    try:
        limit = float(said)
        if not 0 <= limit * GIB < math.inf:
            raise ValueError
    except ValueError:
        message = f"NODEGRAPH_MEMORY: {said!r} is no size; give gibibytes, such as 8, or 0"
        raise WorkflowError([Problem("bad_setting", "", message)]) from None
    return int(limit * GIB)


@cache
def _machine() -> int:
    """Return the bytes of memory that this machine has, or 8 GiB where none can tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * GIB
