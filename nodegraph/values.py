"""Checks a plain value against a port's type and brings it into the type the node expects."""

import json
import math
from collections.abc import Callable
from difflib import get_close_matches
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final

from .jsontext import MAX_DEPTH, is_list, is_table, is_text
from .limits import matcher
from .ports import declared_port
from .types import PortType

_NOUN: Final = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "list": "a list",
    "object": "an object",
    "file": "a path",
}
_LIMITS: Final[dict[str, tuple[str, str, Callable[[Any, Any], bool]]]] = {
    # word: how a port asks for it, what is wrong with a value, whether a value is wrong
    "minimum": ("of at least {}", "is too small", lambda value, limit: value < limit),
    "exclusiveMinimum": ("above {}", "is too small", lambda value, limit: value <= limit),
    "maximum": ("of at most {}", "is too large", lambda value, limit: value > limit),
    "exclusiveMaximum": ("below {}", "is too large", lambda value, limit: value >= limit),
    "multipleOf": (
        "a multiple of {}",
        "is not a multiple of {}",
        lambda value, limit: not _is_multiple(value, limit),
    ),
    "minLength": ("of {} or more characters", "is too short", lambda v, limit: len(v) < limit),
    "maxLength": ("of {} or fewer characters", "is too long", lambda v, limit: len(v) > limit),
    "minItems": ("{} or more of them", "is too short", lambda value, limit: len(value) < limit),
    "maxItems": ("{} or fewer of them", "is too long", lambda value, limit: len(value) > limit),
    "pattern": (
        "matching {!r}",
        "does not match {!r}",
        lambda v, limit: not matcher(limit).isinstance_python(v),
    ),
}
_CLASSES: Final = {"boolean": bool, "list": list, "object": dict}
_NO: Final = object()


class Misfit(ValueError):
    """A value does not fit a port; the text says what is wrong and what would be right."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _is_multiple(value: float, of: float) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    try:
        ratio = value / of
        return abs(ratio - round(ratio)) <= 1e-9 * max(1.0, abs(ratio) * 1e-6)
    except OverflowError:
        return False


def near(word: str, known: Any) -> str:
    """Say "; did you mean ...?" when something known is close, else nothing."""
    names = [each for each in islice(known, 1000) if isinstance(each, str) and each != word]
    close = get_close_matches(word[:100], names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"an {noun}" if noun[:1].lower() in "aeio" else f"a {noun}"


def noun(type_: PortType) -> str:
    """Say in words what a type is, without its range: "an integer", "a list of images"."""
    if type_.kind == "list" and type_.item:
        return f"a list, each item {expected(type_.item)}"
    if type_.kind == "choice":
        return "one of " + ", ".join(map(show, type_.choices))
    if type_.kind == "port":
        return article(type_.name)
    return f"the name or path of {article(type_.model)}" if type_.model else _NOUN[type_.kind]


def expected(type_: PortType) -> str:
    """Say in words what a port takes: "an integer from 0 to 255"."""
    limits = dict(type_.limits)
    words = [f"a link to {noun(type_)}" if type_.kind == "port" else noun(type_)]
    if "minimum" in limits and "maximum" in limits:
        words[0] += f" from {limits.pop('minimum')} to {limits.pop('maximum')}"
    words += [_LIMITS[word][0].format(limit) for word, limit in limits.items()]
    if type_.kind != "list" and len(words) > 1:
        words[:2] = [" ".join(words[:2])]
    return ", ".join(words) + (" or null" if type_.nullable else "")


def from_text(text: str, type_: PortType) -> Any:
    """Read a value from a word: text stays text, everything else is written as in JSON."""
    if type_.kind in ("string", "file", "port"):
        return text
    if type_.kind == "choice" and text in type_.choices:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text  # the check says what would be right
    return value if is_json(value) else text


def conform(value: Any, type_: PortType) -> Any:
    """Return the value as the node gets it: an integer port makes 7 of 7.0, a number port 7.0 of 7.

    Raises:
        Misfit: it does not fit.
    """
    if value is None and type_.nullable:
        return None
    fitted = _fit(value, type_)
    if fitted is _NO:
        message = f"{show(value)} is not {noun(type_)}"
        right = near(str(value), type_.choices) if type_.kind == "choice" else ""
        raise Misfit("wrong_type", message + (right or _instead(type_)))
    within(value, type_)
    if type_.kind == "list" and type_.item:
        return [conform(item, type_.item) for item in fitted]
    return fitted


def within(value: Any, type_: PortType) -> None:
    """Compare a value with a type's limits.

    Raises:
        Misfit: it is outside.
    """
    for word, limit in type_.limits.items():
        _, complaint, breaks = _LIMITS[word]
        if breaks(value, limit):
            said = f"a list of {len(value)}" if is_list(value) else show(value)
            message = f"{said} {complaint.format(limit)}; give {expected(type_)}"
            raise Misfit("out_of_range", message)


def _instead(type_: PortType) -> str:
    return f"; give {expected(type_)}" if expected(type_) != noun(type_) else ""


def _fit(value: Any, type_: PortType) -> Any:
    """Return the value in the kind of a type, or `_NO`."""
    match type_.kind:
        case "port":
            declared = declared_port(value)
            fits = declared is not None and declared.id == type_.port
        case "integer" | "number":
            return _fit_number(value, whole=type_.kind == "integer")
        case "choice":
            return next((choice for choice in type_.choices if _same(value, choice)), _NO)
        case "file":
            fits = isinstance(value, str | Path) and str(value) != "" and "\0" not in str(value)
        case "string":
            fits = isinstance(value, str) and is_text(value)
        case "object":
            fits = is_table(value) and is_json(value)
        case kind:
            fits = isinstance(value, _CLASSES[kind])
            if fits and kind == "list" and type_.item is None:
                fits = is_json(value)
    return value if fits else _NO


def _fit_number(value: Any, *, whole: bool) -> Any:
    if isinstance(value, bool) or not isinstance(value, Real):
        return _NO
    value = int(value) if isinstance(value, Integral) else float(value)  # of numpy, too
    if isinstance(value, int):
        return value if whole else float(value) if value.bit_length() < 1000 else _NO
    if whole:
        return int(value) if value.is_integer() else _NO
    return value if math.isfinite(value) else _NO


def _same(value: Any, choice: Any) -> bool:
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def is_json(value: Any, depth: int = 0) -> bool:
    """Say whether JSON can hold a value: finite numbers, text as keys, nothing of other types.

    Values of port types and paths may be in lists: Python gives them so.
    """
    if depth > MAX_DEPTH:
        return False
    if is_table(value):
        inner = all(is_json(item, depth + 1) for item in value.values())
        return inner and all(map(_is_key, value))
    if is_list(value):
        return all(is_json(item, depth + 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return is_text(value)
    return value is None or isinstance(value, int | Path) or declared_port(value) is not None


def _is_key(key: object) -> bool:
    return isinstance(key, str)


def show(value: Any) -> str:
    """Write a value as JSON does, or as Python what JSON has not; text in single quotes; short."""
    if isinstance(value, str | Path):
        text = repr(str(value))
    elif isinstance(value, float) or is_json(value):
        text = json.dumps(value, default=repr, ensure_ascii=False)
    else:
        try:
            text = repr(value)
        except Exception:  # noqa: BLE001 (a stranger's `__repr__`, or one too deep)
            text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
