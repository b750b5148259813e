"""What is kept of earlier runs: in this process's memory, and in the store on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .memory import Memory
from .store import LEAST, Damaged, Store


@dataclass(frozen=True, slots=True)
class Kept:
    """Results by their keys, wherever they are."""

    store: Store | None = None
    memory: Memory | None = None
    _put: list[str] = field(default_factory=list[str])
    _begun: list[str] = field(default_factory=list[str])

    def __bool__(self) -> bool:
        """Say whether anything may be kept at all."""
        return self.store is not None or self.memory is not None

    def has(self, key: str) -> bool:
        """Say whether there is a result."""
        return (self.memory is not None and self.memory.has(key)) or self.stored(key)

    def stored(self, key: str) -> bool:
        """Say whether a result is on disk."""
        return self.store is not None and self.store.has(key)

    def get(self, key: str) -> tuple[dict[str, Any], list[Any], str]:
        """Return outputs by port, notes, and where they were.

        Raises:
            Damaged: it is gone, or not what was written.
        """
        held = self.memory.get(key) if self.memory is not None else None
        if held is not None:
            return *held, "memory"
        if self.store is None:
            raise Damaged("it has left the memory")
        return *self.store.get(key), "the store"

    @property
    def least(self) -> float:
        """Seconds that computing has to take, to be worth it."""
        return self.store.least if self.store is not None else LEAST

    def put(self, key: str, type_: str, outputs: Mapping[str, Any], notes: Sequence[Any]) -> None:
        """Keep a result: on disk, or where it has no form there in memory."""
        self._put.append(key)
        if self.store is not None and self.store.put(key, type_, outputs, notes):
            return
        if self.memory is not None:
            self.memory.put(key, outputs, notes)

    def partial(self, key: str) -> Path | None:
        """Return the folder of a result that is not done yet; None where none is kept."""
        if self.store is None or not key:
            return None
        self._begun.append(key)
        return self.store.partial(key)

    @property
    def touched(self) -> bool:
        """Say whether something was put or begun."""
        return bool(self._put or self._begun)

    def undo(self) -> None:
        """Let go of what was put and begun: it is not what its key says."""
        for key in self._put:
            if self.memory is not None:
                self.memory.drop(key)
            if self.store is not None:
                self.store.drop(key)
        for key in self._begun:
            if self.store is not None:
                self.store.finish(key)
