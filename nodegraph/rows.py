"""Rows of values for a flow: from CSV, from lines of JSON, from Python."""

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from .errors import Problem, WorkflowError
from .jsontext import is_table, is_text, parse
from .values import from_text, near, show
from .workflow import Literal, Workflow

FORMS: Final = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": ""}
"""Endings of data files, and what parts their cells."""
NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.=+-]{0,99}"
"""What a row may be called: it is the name of its folder."""
SHEET: Final = "contact-sheet.png"
"""Of a sweep; a run of the same flow writes outputs beside it, whose names have no hyphen."""
OWN: Final = ("batch.jsonl", "batch.lock", "rows.csv", SHEET)
"""What a batch itself writes beside the folders of its rows."""
_LONGEST: Final = 16 * 2**20
"""Bytes of a line of JSON, or characters of a row of a table."""


@dataclass(frozen=True, slots=True)
class Row:
    """Values for one run; `name` is its folder, `problems` are what is not in form."""

    number: int
    name: str
    values: Mapping[str, Literal]
    problems: tuple[Problem, ...] = ()

    @property
    def named(self) -> bool:
        """Say whether it has a name, and so a folder; `name` is `#` and its number if not."""
        return not self.name.startswith("#")

    def unnamed(self, problems: Iterable[Problem]) -> "Row":
        """Return what is told in the place of a row that may not have its name."""
        return Row(self.number, f"#{self.number}", {}, tuple(problems))


def read_rows(path: Path, flow: Workflow) -> Iterator[Row]:
    """Yield the rows of a file; its ending says how it is read. Paths in it start at its folder.

    A column or key `id` names the row, unless the flow declares an input of that name.

    Raises:
        WorkflowError: the file cannot be read, or its header has a column that is no input.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        message = f"{path}: a device or pipe; name a file, or give lines of JSON to --data -"
        raise WorkflowError([Problem("not_a_file", "", message)])
    if path.suffix.lower() not in FORMS:
        known = ", ".join(FORMS)
        message = f"{path}: is not known to hold rows; end its name with one of {known}"
        raise WorkflowError([Problem("bad_rows", "", message)])
    delimiter = FORMS[path.suffix.lower()]
    rows = _Rows(flow, path.absolute().parent, str(path))
    try:
        if delimiter:
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
                yield from rows.table(text, delimiter)
        else:
            with path.open("rb") as lines:
                yield from rows.lines(lines)
    except OSError as error:
        message = f"{path}: {error.strerror or error}; check the path"
        raise WorkflowError([Problem("no_such_file", "", message)]) from error


def requested(flow: Workflow, after: int, answered: Callable[[str], bool]) -> Iterator[Row]:
    """Yield a row for each line of JSON on standard input, as soon as it is there.

    Paths in it start at the current folder, and lead where those of a flow may. Rows without an id
    are numbered on from `after`, past names that were answered.
    """
    rows = _Rows(flow, Path.cwd(), "", number=after, answered=answered)
    yield from rows.lines(sys.stdin.buffer)


def given_rows(rows: Iterable[Mapping[str, Any]], flow: Workflow) -> Iterator[Row]:
    """Yield a row for each mapping of values; paths in it start at the current folder."""
    made = _Rows(flow, Path.cwd(), "")
    for each in rows:
        yield made.row(partial(made.mapping, each))


class _Rows:
    """Numbers and names rows, and finds what is wrong with them."""

    def __init__(
        self,
        flow: Workflow,
        base: Path,
        place: str,
        *,
        number: int = 0,
        answered: Callable[[str], bool] | None = None,
    ) -> None:
        """Begin after a number; requests of anybody may use a name again that was `answered`."""
        self.flow = flow
        self.base = base
        self.place = place
        self.number = number
        self.answered = answered
        self.names: set[str] = set()

    def lines(self, file: BinaryIO) -> Iterator[Row]:
        """Yield the rows of lines of JSON; empty lines are none."""
        while line := file.readline(_LONGEST + 1):
            whole = len(line) <= _LONGEST
            while len(line) > _LONGEST and not line.endswith(b"\n"):
                line = file.readline(_LONGEST + 1)
            if not whole or line.strip():
                yield self.row(partial(self._object, line, whole))

    def _object(self, line: bytes, whole: bool) -> dict[str, Any]:
        if not whole:
            raise self._refusal(f"is longer than {_LONGEST // 2**20} MiB")
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._refusal(f"byte {error.start} is not UTF-8") from None
        data = parse(text, "the line")
        if not is_table(data):
            raise self._refusal(f"is {show(data)}, no object of inputs by name")
        return data

    def mapping(self, given: Any) -> dict[str, Any]:
        """Return the values of a row from Python."""
        try:
            return dict(given)
        except (TypeError, ValueError):
            raise self._refusal(f"is {show(given)}, no mapping of inputs by name") from None

    def table(self, file: TextIO, delimiter: str) -> Iterator[Row]:
        """Yield the rows of a table with a header; an empty cell leaves the flow's default."""
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(reader, list[str]())
        except csv.Error as error:
            raise self._unfit(f"the header is not in form: {error}") from None
        header = [word.strip() for word in header]
        self._check(header)
        while True:
            lines.left = _LONGEST
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self.row(partial(self._no_cells, error))
            else:
                if cells:
                    yield self.row(partial(self._cells, header, cells))

    def _check(self, header: list[str]) -> None:
        if not header:
            raise self._unfit("has no header; its first line names the flow's inputs")
        if not all(is_text(name) and "\0" not in name for name in header):
            raise self._unfit("the header is not UTF-8; save the file as UTF-8")
        for index, name in enumerate(header, 1):
            if header.count(name) > 1:
                raise self._unfit(f"column {name!r} stands twice; remove one")
            if name not in self.flow.inputs and name != "id":
                help_ = near(name, self.flow.inputs) or f"; {self._known()}"
                raise self._unfit(f"column {index}, {name!r}, is no input of the flow{help_}")

    def _no_cells(self, error: csv.Error) -> dict[str, Any]:
        raise self._refusal(f"is not in form: {error}")

    def _cells(self, header: list[str], cells: list[str]) -> dict[str, Any]:
        if len(cells) != len(header):
            raise self._refusal(f"has {len(cells)} cells, the header {len(header)}")
        found: dict[str, Any] = {}
        for name, text in zip(header, cells, strict=True):
            if not is_text(text):
                raise self._refusal(f"{name!r} is not UTF-8; save the file as UTF-8")
            declared = self.flow.inputs.get(name)
            if text:
                found[name] = from_text(text, declared.type) if declared else text
        return found

    def row(self, read: Callable[[], dict[str, Any]]) -> Row:
        """Return the next row; what cannot be read is said in it."""
        self.number += 1
        name = f"#{self.number}"
        try:
            values = read()
            name = self._name(values)
            for key in values:
                if key not in self.flow.inputs:
                    help_ = near(str(key), self.flow.inputs) or f"; {self._known()}"
                    raise self._refusal(f"{key!r} is no input of the flow{help_}")
        except WorkflowError as error:
            return Row(self.number, name, {}, error.problems)
        confined = self.answered is not None
        given = {k: Literal(v, self.base, confined) for k, v in values.items()}
        return Row(self.number, name, given)

    def _name(self, values: dict[str, Any]) -> str:
        """Return a row's name, which is no other row's; an `id` leaves the values."""
        if "id" in values and "id" not in self.flow.inputs:
            name = self._folder(values.pop("id"))
            said = f"the id {name!r} stands twice, or numbers a row without an id"
        else:
            while self.answered and self.answered(f"{self.number:06d}"):
                self.number += 1
            name = f"{self.number:06d}"
            said = f"has no id, and {name!r} is that of another row"
        if self.answered is None:
            if name.casefold() in self.names:
                raise self._refusal(f"{said}; give each row its own")
            self.names.add(name.casefold())
        return name

    def _folder(self, value: Any) -> str:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not (isinstance(text, str) and re.fullmatch(NAME, text)) or text.endswith("."):
            said = "letters, digits and _ . = + - only, 100 at most, no point or sign in front"
            raise self._refusal(f"the id {show(value)} cannot name a folder; use {said}")
        if text.casefold() in OWN:
            raise self._refusal(f"the id {text!r} is a file of the batch itself; choose another")
        return text

    def _known(self) -> str:
        return f"it takes {', '.join(self.flow.inputs) or 'nothing'}"

    def _refusal(self, message: str) -> WorkflowError:
        return WorkflowError([Problem("bad_row", "", message)])

    def _unfit(self, message: str) -> WorkflowError:
        return WorkflowError([Problem("bad_rows", "", f"{self.place}: {message}")])


class _Lines:
    """The lines of a table; none is given once a row has taken more than is `left` for it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.left = _LONGEST

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self.left + 1)
        if not line:
            raise StopIteration
        if len(line) > self.left:
            while line and not line.endswith(("\n", "\r")):
                line = self._file.readline(_LONGEST)
            raise csv.Error(f"longer than {_LONGEST // 2**20} MiB")
        self.left -= len(line)
        return line
