"""Sweeps: several values for numeric inputs, and a row for each combination of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from math import prod
from pathlib import Path
from typing import Final

from .errors import Problem, WorkflowError
from .rows import Row
from .types import PortType
from .values import Misfit, conform
from .workflow import Literal

MOST: Final = 10_000
"""Combinations of one sweep; a file of rows may have any number."""
_LONGEST: Final = 100
_NUMBER: Final = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
_PART: Final = rf"({_NUMBER})(?:\.\.({_NUMBER})(?:\.\.({_NUMBER}))?)?"

Value = int | float


def sweep(name: str, text: str, type_: PortType) -> tuple[Value, ...]:
    """Read `1..8`, `0..1..0.25` or `0.4,0.8`, ends included; () for what is one value.

    Raises:
        WorkflowError: it is meant to be a sweep, and is not in form.
    """
    if type_.kind not in ("integer", "number") or not re.search(r"\.\.|,", text):
        return ()
    values: list[Value] = []
    for part in text.split(","):
        found = re.fullmatch(_PART, part.strip())
        if found is None:
            form = "write 1..8, 0..1..0.25 or 0.4,0.8"
            raise _refusal(f"--{name} {text!r}: {part.strip()!r} is no range; {form}")
        first, last, step = (Decimal(word) if word else None for word in found.groups())
        assert first is not None
        values += [_plain(value) for value in _range(name, first, last, step)]
        if len(values) > MOST:
            raise _many(f"--{name} {text!r}")
    try:
        return tuple(dict.fromkeys(conform(value, type_) for value in values))
    except Misfit as misfit:
        raise _refusal(f"--{name} {text!r}: {misfit}") from None


def _range(
    name: str, first: Decimal, last: Decimal | None, step: Decimal | None
) -> Iterator[Decimal]:
    if last is None:
        yield first
        return
    if step is None:
        step = Decimal(1)
        if any(each != each.to_integral_value() for each in (first, last)):
            help_ = f"write --{name} {first}..{last}..0.1"
            raise _refusal(f"--{name} {first}..{last}: says no step; {help_}")
    if step <= 0 or last < first:
        raise _refusal(f"--{name} {first}..{last}..{step}: does not rise; give the smaller first")
    if (last - first) / step > MOST:
        raise _many(f"--{name} {first}..{last}..{step}")
    for index in range(int((last - first) / step) + 1):  # adding up could stand still
        yield first + index * step


def _plain(value: Decimal) -> Value:
    return int(value) if value == value.to_integral_value() else float(value)


def combinations(swept: Mapping[str, Sequence[Value]]) -> list[Row]:
    """Return a row for each combination, the last input the first to change.

    Raises:
        WorkflowError: there are too many.
    """
    if prod(map(len, swept.values())) > MOST:
        raise _many(" ".join(f"--{name}" for name in swept))
    here = Path.cwd()
    rows: list[Row] = []
    for number, values in enumerate(product(*swept.values()), 1):
        named = dict(zip(swept, values, strict=True))
        name = "_".join(f"{key}_{value}" for key, value in named.items())
        if len(name) > _LONGEST or not re.fullmatch(r"[\w.+-]+", name, re.ASCII):
            name = f"{number:06d}"
        rows.append(Row(number, name, {k: Literal(v, here) for k, v in named.items()}))
    return rows


def _many(what: str) -> WorkflowError:
    help_ = "give fewer, or a file of rows to 'nodegraph batch'"
    return _refusal(f"{what}: more than {MOST} combinations; {help_}")


def _refusal(message: str) -> WorkflowError:
    return WorkflowError([Problem("bad_sweep", "", message)])


def labels(swept: Mapping[str, Sequence[Value]]) -> tuple[list[str], list[str]]:
    """Return the labels of a contact sheet's columns and rows: the last input runs across."""
    *down, across = swept.items()
    columns = [f"{across[0]} {value}" for value in across[1]]
    rows = [
        ", ".join(f"{name} {value}" for (name, _), value in zip(down, values, strict=True))
        for values in product(*(values for _, values in down))
    ]
    return columns, rows
