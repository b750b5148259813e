"""What is kept of earlier runs: in this process's memory, and in the store on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .memory import Memory
from .store import LEAST, Damaged, Store


@dataclass(frozen=True, slots=True)
class Kept:
    """Results by their keys, wherever they are."""

    store: Store | None = None
    memory: Memory | None = None

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
        if self.store is not None and self.store.put(key, type_, outputs, notes):
            return
        if self.memory is not None:
            self.memory.put(key, outputs, notes)
