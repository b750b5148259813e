"""The ledger of a batch: one JSON line for each row that was run; the last line of a row holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

from .errors import NodegraphError, Problem, WorkflowError
from .jsontext import is_list, is_table
from .outputs import value_file
from .values import is_json
from .writing import appending, sweep

NAME: Final = "batch.jsonl"
_ROWS: Final = 2**53
"""More than anybody has; JSON's readers agree on numbers below."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a row: its files by output, relative to the batch's folder, or problems."""

    row: int
    id: str
    ok: bool
    seconds: float
    digest: str
    """What the row came from: the flow, its packages, models and settings, the row's values."""
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    problems: tuple[Mapping[str, str], ...] = ()
    where: str = ""
    """Which process did it."""
    saved: tuple[str, ...] = ()
    """Files that nodes wrote beside the outputs, relative to the batch's folder."""

    @property
    def files(self) -> list[str]:
        """All files of the row; a value that stands here itself has one, too."""
        files: list[str] = []
        for name, each in self.outputs.items():
            files += each if is_list(each) else [f"{self.id}/{value_file(name)}"]
        return [*files, *self.saved]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as the ledger and standard output have it."""
        said = {name: getattr(self, name) for name in self.__dataclass_fields__}
        said.pop("problems" if self.ok else "outputs")
        if not self.saved:
            said.pop("saved")
        return said

    @classmethod
    def from_json(cls, data: Any) -> "Answer | None":
        """Read a line of a ledger; None when it is none."""
        if not is_table(data):
            return None
        row, name, inputs = data.get("row"), data.get("id"), data.get("inputs")
        outputs, problems = data.get("outputs", {}), data.get("problems", [])
        seconds = data.get("seconds", 0.0)
        if not (isinstance(row, int) and 0 < row < _ROWS and isinstance(name, str)):
            return None
        if not (isinstance(seconds, int | float) and isfinite(seconds)):
            return None
        if not (is_table(inputs) and is_json(inputs)):
            return None
        if not (is_table(outputs) and all(map(_is_output, outputs.values()))):
            return None
        if not (is_list(problems) and all(map(_is_problem, problems))):
            return None
        saved = data.get("saved", [])
        if not (is_list(saved) and _is_output(saved)):
            return None
        done, digest = data.get("ok") is True, str(data.get("digest", ""))
        rest = outputs, tuple(problems), str(data.get("where", "")), tuple(saved)
        return cls(row, name, done, seconds, digest, inputs, *rest)


def _is_output(value: Any) -> bool:
    if is_list(value):
        return all(isinstance(file, str) for file in value)
    return isinstance(value, bool | int | float | str) and is_json(value)


def _is_problem(data: Any) -> bool:
    return is_table(data) and "message" in data and all(isinstance(v, str) for v in data.values())


@dataclass(frozen=True, slots=True)
class _Place:
    row: int
    ok: bool
    digest: str
    start: int
    size: int


class Ledger:
    """Appends answers to a file in the batch's folder; one process at a time has it.

    What a process that was killed has left of its last line is passed over, as is any line that is
    none of a ledger. Names that differ in case alone are one: they may be one folder.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder, made where it is not there, and read what was done before.

        Raises:
            WorkflowError: it cannot be written, or another batch is at work in it.
        """
        from filelock import FileLock, Timeout

        self.path = folder / NAME
        self._lock = FileLock(folder / "batch.lock")
        self._places: dict[str, _Place] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._file = appending(self.path)
            self._end = self._read()
            sweep(folder)
        except Timeout:
            message = f"{folder}: another batch is at work in this folder; choose another --out"
            raise WorkflowError([Problem("busy_out", "", message)]) from None
        except OSError as error:
            said = f"{folder}: cannot be written: {error.strerror or error}"
            message = f"{said}; choose another folder with --out"
            raise WorkflowError([Problem("unwritable_out", "", message)]) from error

    def _read(self) -> int:
        self._file.seek(0)
        end, last = 0, b""
        with self.path.open("rb") as file:
            for line in file:
                answer = _answer(line)
                if answer is not None:
                    self._know(answer, end, len(line))
                end += len(line)
                last = line
        if end and not last.endswith(b"\n"):
            self._file.write(b"\n")
            end += 1
        return end

    def _know(self, answer: Answer, start: int, size: int) -> None:
        place = _Place(answer.row, answer.ok, answer.digest, start, size)
        self._places[answer.id.casefold()] = place

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.release()

    @property
    def highest(self) -> int:
        """The highest number of a row."""
        return max((place.row for place in self._places.values()), default=0)

    def has(self, name: str) -> bool:
        """Say whether a row was ever answered."""
        return name.casefold() in self._places

    def state(self, name: str, digest: str) -> bool | None:
        """Say whether a row was done from the same (True), failed from it (False), or neither."""
        place = self._places.get(name.casefold())
        return place.ok if place is not None and place.digest == digest != "" else None

    def get(self, name: str) -> Answer:
        """Return the last answer of a row that there is one of."""
        place = self._places[name.casefold()]
        with self.path.open("rb") as file:
            file.seek(place.start)
            answer = _answer(file.read(place.size))
        if answer is None:
            raise NodegraphError(f"{self.path}: was changed while the batch was at work")
        return answer

    def begin(self, row: int, name: str, digest: str) -> None:
        """Note that the files of a row that was done are about to be those of other values."""
        place = self._places.get(name.casefold())
        if place is not None and place.ok and self.state(name, digest) is None:
            message = "was stopped while it ran again from something else"
            told = ({"code": "stopped", "pointer": "", "message": message},)
            self.add(Answer(row, name, False, 0.0, "", {}, {}, told))

    def add(self, answer: Answer) -> None:
        """Append an answer, in one write.

        Raises:
            NodegraphError: the disk is full, or the like; what stood in the ledger still does.
        """
        line = json.dumps(answer.to_json(), separators=(",", ":"), default=str).encode() + b"\n"
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(28, "no space left on device")
        except OSError as error:
            message = f"{self.path}: cannot be written: {error.strerror or error}"
            raise NodegraphError(message) from error
        self._know(answer, self._end, len(line))
        self._end += len(line)


def _answer(line: bytes) -> Answer | None:
    try:
        return Answer.from_json(json.loads(line))
    except (ValueError, RecursionError):
        return None
