"""Checks a plain value against a port's type and brings it into the type the node expects."""

import math
import re
from pathlib import Path
from typing import Any

from .jsontext import is_list, is_table
from .types import PortType

_ARTICLE = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "list": "a list",
    "object": "an object",
    "file": "a path",
}


class Misfit(ValueError):
    """A value does not fit a port; the text says what is wrong and what would be right."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def expected(type_: PortType) -> str:
    """Say in words what a port takes: "an integer from 0 to 255"."""
    if type_.kind == "choice":
        words = "one of " + ", ".join(_quote(choice) for choice in type_.choices)
    elif type_.kind == "port":
        words = f"a link to {_article(type_.name)}"
    elif type_.model:
        words = f"the name or path of {_article(type_.model)}"
    elif type_.kind == "list" and type_.item:
        words = f"a list, each item {expected(type_.item)}"
    else:
        words = _ARTICLE[type_.kind]
    return words + _range(type_.limits) + (" or null" if type_.nullable else "")


def conform(value: Any, type_: PortType) -> Any:
    """Return the value as the node gets it: an integer port makes 7 of 7.0, a number port 7.0 of 7.

    Raises:
        Misfit: it does not fit.
    """
    if value is None and type_.nullable:
        return None
    if type_.kind == "list":
        return _conform_list(value, type_)
    fitted = _fit(value, type_)
    if fitted is _NO:
        raise Misfit("wrong_type", f"{_show(value)} is not {expected(type_)}")
    fault = _outside(fitted, type_.limits)
    if fault:
        raise Misfit("out_of_range", f"{_show(value)} {fault}; give {expected(type_)}")
    return fitted


_NO = object()


def _fit(value: Any, type_: PortType) -> Any:
    kind = type_.kind
    if kind == "choice":
        return value if any(_same(value, choice) for choice in type_.choices) else _NO
    if kind == "boolean":
        return value if isinstance(value, bool) else _NO
    if kind in ("integer", "number"):
        return _fit_number(value, whole=kind == "integer")
    if kind == "string":
        return value if isinstance(value, str) else _NO
    if kind == "file":
        return _fit_path(value)
    return value if kind == "object" and is_table(value) else _NO


def _fit_number(value: Any, *, whole: bool) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _NO
    if isinstance(value, int):
        return value if whole else float(value) if value.bit_length() < 1000 else _NO
    if whole:
        return int(value) if value.is_integer() else _NO
    return value if math.isfinite(value) else _NO


def _fit_path(value: Any) -> Any:
    return value if isinstance(value, str | Path) and str(value) and "\0" not in str(value) else _NO


def _conform_list(value: Any, type_: PortType) -> list[Any]:
    if not is_list(value):
        raise Misfit("wrong_type", f"{_show(value)} is not {expected(type_)}")
    items = value
    fault = _outside(items, type_.limits)
    if fault:
        raise Misfit("out_of_range", f"a list of {len(items)} {fault}; give {expected(type_)}")
    return [conform(item, type_.item) for item in items] if type_.item else items


def _same(value: Any, choice: Any) -> bool:
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def _outside(value: Any, limits: dict[str, Any]) -> str:
    """Say how a value breaks its limits, or nothing."""
    for word, limit in limits.items():
        fault = _breach(value, word, limit)
        if fault:
            return fault
    return ""


def _breach(value: Any, word: str, limit: Any) -> str:
    if word == "pattern":
        return "" if re.search(limit, value) else f"does not match {limit!r}"
    if word in ("minLength", "minItems"):
        return "is too short" if len(value) < limit else ""
    if word in ("maxLength", "maxItems"):
        return "is too long" if len(value) > limit else ""
    if word == "multipleOf":
        return "" if _is_multiple(value, limit) else f"is not a multiple of {limit:g}"
    below = value < limit if word == "minimum" else value <= limit
    above = value > limit if word == "maximum" else value >= limit
    if word in ("minimum", "exclusiveMinimum"):
        return "is too small" if below else ""
    return "is too large" if above else ""


def _is_multiple(value: float, step: float) -> bool:
    times = value / step
    return abs(times - round(times)) < 1e-9 * max(1.0, abs(times))


def _range(limits: dict[str, Any]) -> str:
    low, high = limits.get("minimum"), limits.get("maximum")
    over, under = limits.get("exclusiveMinimum"), limits.get("exclusiveMaximum")
    words = ""
    if low is not None and high is not None:
        words += f" from {low} to {high}"
    elif low is not None:
        words += f" of at least {low}"
    elif high is not None:
        words += f" of at most {high}"
    if over is not None:
        words += f" above {over}"
    if under is not None:
        words += f" below {under}"
    return words + _shape(limits)


def _shape(limits: dict[str, Any]) -> str:
    words = f", a multiple of {limits['multipleOf']:g}" if "multipleOf" in limits else ""
    for end, unit in (("Length", "characters"), ("Items", "items")):
        if f"min{end}" in limits:
            words += f", at least {limits[f'min{end}']} {unit}"
        if f"max{end}" in limits:
            words += f", at most {limits[f'max{end}']} {unit}"
    return words + (f", matching {limits['pattern']!r}" if "pattern" in limits else "")


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeio" else f"a {noun}"


def _quote(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _show(value: Any) -> str:
    """Write a value the way JSON does, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(str(value)) if isinstance(value, Path) else repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
