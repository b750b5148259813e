"""A type that can be stored and not restored."""

from dataclasses import dataclass
from pathlib import Path

from nodegraph import Codec, port


class WeirdCodec(Codec["Weird"]):
    """Writes what it cannot read."""

    @staticmethod
    def dump(value: "Weird", folder: Path) -> None:
        (folder / "x").write_text("x")

    @staticmethod
    def restore(folder: Path) -> "Weird":
        raise ValueError("cannot read this")


@port(codec=WeirdCodec)
@dataclass(frozen=True)
class Weird:
    """Something odd."""
