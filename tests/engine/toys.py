"""Toy nodes: small enough to read at a glance, wide enough for everything an engine test needs."""

import contextlib
import hashlib
import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from nodegraph import Codec, Context, Destination, Family, ModelFile, node, port


class ToyCodec(Codec["Toy"]):
    """Toys are text files."""

    suffixes = (".toy",)

    @staticmethod
    def read(path: Path) -> "Toy":
        return Toy(path.read_text().strip())

    @staticmethod
    def write(value: "Toy", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        path = stem.with_name(stem.name + ".toy")
        path.write_text(value.name + "\n")
        stem.with_name(stem.name + ".record.json").write_text(json.dumps(record))
        return [path, stem.with_name(stem.name + ".record.json")]

    @staticmethod
    def dump(value: "Toy", folder: Path) -> None:
        (folder / "toy.txt").write_text(value.name)

    @staticmethod
    def restore(folder: Path) -> "Toy":
        return Toy((folder / "toy.txt").read_text())

    @staticmethod
    def size(value: "Toy") -> int:
        return len(value.name)

    @staticmethod
    def digest(value: "Toy") -> str:
        return hashlib.sha256(value.name.encode()).hexdigest()

    @staticmethod
    def describe(value: "Toy") -> str:
        return f"toy {value.name}"


@port(codec=ToyCodec)
@dataclass(frozen=True)
class Toy:
    """Something that has a name."""

    name: str


@port
@dataclass(frozen=True)
class Model:
    """A model of some family, which cannot be written to a file."""

    file: str


@port
@dataclass(frozen=True)
class Control:
    """A control of some family."""

    file: str


class Pair(NamedTuple):
    """Two outputs."""

    first: Toy
    second: Toy


@node
def number(*, value: Annotated[int, Field(ge=0, le=100)] = 7) -> int:
    """Give a number."""
    return value


@node
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@node
def scale(x: float, *, factor: Annotated[float, Field(gt=0, lt=10)] = 2.0) -> float:
    """Multiply a number.

    Args:
        x: what is multiplied.
    """
    return x * factor


@node
def toy(*, name: Annotated[str, Field(min_length=1, pattern="^[a-z]+$")] = "bear") -> Toy:
    """Make a toy."""
    return Toy(name)


@node(version=2)
def paint(toy: Toy, *, colour: Literal["red", "green", "blue"] = "red", shiny: bool = False) -> Toy:
    """Paint a toy."""
    return Toy(f"{'shiny ' if shiny else ''}{colour} {toy.name}")


@node
def pair(first: Toy, second: Toy) -> Pair:
    """Give two toys back."""
    return Pair(first, second)


@node
def row(toys: Annotated[list[Toy], Field(min_length=1)]) -> str:
    """Name several toys."""
    return ", ".join(toy.name for toy in toys)


@node
def everything(
    *,
    flag: bool = True,
    whole: Annotated[int, Field(ge=8, multiple_of=8)] = 8,
    real: float | None = None,
    text: str = "",
    items: Annotated[list[int], Field(max_length=3)] = [],  # noqa: B006 (a default as JSON has it)
    table: dict[str, Any] | None = None,
    file: Path | None = None,
    to: Annotated[Path, Destination()] | None = None,
) -> dict[str, Any]:
    """Give back every setting with the name of its Python type."""
    given = dict(locals())
    return {name: [type(value).__name__, str(value)] for name, value in given.items()}


@node
def load_model(
    file: Annotated[Path, ModelFile("checkpoint", family="F")],
) -> Annotated[Model, Family("F")]:
    """Load a model."""
    return Model(file.name)


@node
def load_control(
    file: Annotated[Path, ModelFile("controlnet", family="F")],
) -> Annotated[Control, Family("F")]:
    """Load a control."""
    return Control(file.name)


@node
def steer(
    model: Annotated[Model, Family("F")], control: Annotated[Control, Family("F")]
) -> Annotated[Model, Family("F")]:
    """Let a control steer a model."""
    return Model(f"{model.file}+{control.file}")


@node
def keep(toy: Toy, context: Context, *, name: str = "kept") -> None:
    """Write a toy into the run's folder."""
    (context.out / f"{name}.txt").write_text(toy.name)


@node
def count(context: Context, *, steps: int = 3, seconds: float = 0.0) -> int:
    """Count steps, telling of each."""
    for step in range(steps):
        time.sleep(seconds)
        context.progress(step + 1, steps, f"step {step + 1}")
    return steps


@node
def where(context: Context) -> dict[str, Any]:
    """Say what the context holds."""
    (context.scratch / "note").write_text("x")
    return {"device": context.device, "dtype": context.dtype, "scratch": str(context.scratch)}


@node(device="cpu")
def where_cpu(context: Context) -> str:
    """Say on which device, and in what, a node computes that asks for the CPU."""
    return f"{context.device} {context.dtype}"


@node
def fail(*, words: str = "no luck") -> int:
    """Raise an error."""
    raise RuntimeError(words)


@node
def lie() -> Toy:
    """Give something else than it says."""
    return "not a toy"  # type: ignore[return-value]


@node
def shout(*, words: str = "hello") -> str:
    """Print words, as a careless node does."""
    print(words)
    return words


@node
def leave(*, how: Literal["exit", "generator", "text"] = "exit") -> str:
    """End in a way that no node should."""
    if how == "exit":
        sys.exit(0)
    if how == "generator":
        raise GeneratorExit
    return "half a pair: \ud800"


class BrittleCodec(Codec["Brittle"]):
    """Cannot write what it should."""

    @staticmethod
    def write(value: "Brittle", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        raise ValueError("too brittle")


@port(codec=BrittleCodec)
@dataclass(frozen=True)
class Brittle:
    """Something that cannot be written."""


@node
def brittle() -> Brittle:
    """Make something that cannot be written."""
    return Brittle()


@node
def stubborn(context: Context) -> int:
    """Swallow whatever would stop it, as some libraries do."""
    for step in range(50):
        with contextlib.suppress(BaseException):
            time.sleep(0.02)
            context.progress(step, 50)
    return 1


@node
def is_long(toy: Toy, *, least: int = 5) -> bool:
    """Say whether a toy has a long name."""
    return len(toy.name) >= least


@node
def several(*, names: list[str]) -> list[Toy]:
    """Make several toys."""
    return [Toy(name) for name in names]


@node
def dress(toy: Toy | None = None, *, hat: str = "cap") -> Toy:
    """Put a hat on a toy, or on nothing."""
    return Toy(f"{toy.name if toy else 'nothing'} in a {hat}")


MEETING = threading.Barrier(2)


@node(device="cpu")
def meet(*, seconds: float = 10.0) -> str:
    """Wait until another call of this node is at work, too, and say in which thread."""
    MEETING.wait(seconds)
    return threading.current_thread().name


@node(device="cpu")
def beside(context: Context, *, seconds: float = 0.0) -> str:
    """Work on the CPU for a while, and say in which thread."""
    for step in range(20):
        time.sleep(seconds / 20)
        context.progress(step + 1, 20)
    return threading.current_thread().name


@node
def wait_for(context: Context, *, path: Path, seconds: float = 10.0) -> str:
    """Wait on the device for a file that another node writes, and say in which thread."""
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
        context.check()
    return threading.current_thread().name


@node(device="cpu")
def write(toy: Toy, *, to: Annotated[Path, Destination()]) -> None:
    """Write a toy's name into a file."""
    to.write_text(toy.name)


@node
def remark(toy: Toy, context: Context, *, said: str = "hm") -> Toy:
    """Tell something for the record."""
    context.note("said", said)
    return toy


@node
def recorded(toy: Toy, context: Context, *, name: str = "record") -> None:
    """Write the run's record as it is now."""
    (context.out / f"{name}.json").write_text(json.dumps(context.record))


@node(cache=False)
def tick() -> int:
    """Give another number each time."""
    return time.monotonic_ns() % 1000


@node
def model_name(model: Annotated[Model, Family("F")], *, prefix: str = "") -> str:
    """Say what a model is called."""
    return prefix + model.file


@node
def say(*, words: str) -> str:
    """Give words back."""
    return words


@node
def first(toys: list[Toy]) -> Toy:
    """Take the first of several toys."""
    return toys[0]


@node(device="cpu")
def deaf(context: Context, *, seconds: int = 30) -> str:
    """Work for long inside a library, where Python cannot reach."""
    (context.scratch / "note").write_text("x")
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", seconds * 1_500_000)  # one call, some seconds
    return "done"


@node
def order(*, table: dict[str, Any]) -> str:
    """Say the names in a table, in their order."""
    return " ".join([*table, *(table.get("in") or {})])


@node
def read_all(*, files: list[Path]) -> str:
    """Read several files."""
    return " ".join(path.read_text() for path in files)


@node
def find(*, name: str) -> Path:
    """Return a file."""
    return Path(name)
