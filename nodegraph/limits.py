"""Reads ranges from annotations, and refuses those that say nothing or that no value can meet."""

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .errors import PackageError

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

_BOUNDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_NUMBERS: Final = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def read_limits(mark: Any, kind: str, where: str) -> dict[str, Any]:
    """Read bounds from pydantic's Field or annotated-types, which carry the same attributes.

    Raises:
        PackageError: a bound says nothing of this kind of value.
    """
    found: dict[str, Any] = {}
    for part in getattr(mark, "metadata", None) or [mark]:
        for attribute, bound in _BOUNDS.items():
            value = getattr(part, attribute, None)
            if value is None:
                continue
            word = bound.replace("Length", "Items") if kind == "list" else bound
            fault = _fault(word, value, kind)
            if fault:
                raise PackageError(f"{where}: {attribute}={value!r} {fault}")
            found[word] = value
    return found


def refuse_empty(limits: Mapping[str, Any], where: str) -> None:
    """Refuse limits that no value can meet.

    Raises:
        PackageError: the least value is above the largest.
    """
    for least, most in (
        (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
        (("minLength",), ("maxLength",)),
        (("minItems",), ("maxItems",)),
    ):
        for low in filter(limits.__contains__, least):
            for high in filter(limits.__contains__, most):
                strict = "exclusive" in low + high
                if limits[low] > limits[high] or (strict and limits[low] == limits[high]):
                    said = f"{low} {limits[low]} and {high} {limits[high]}"
                    raise PackageError(f"{where}: no value meets {said}; change one of them")


@cache
def matcher(pattern: str) -> "SchemaValidator":
    """Return what searches a text for a pattern in time that grows with the text and no faster.

    As in JSON Schema, `$` is the end of the text. Python's own `re` takes for ever for some texts.

    Raises:
        ValueError: the pattern is none, or needs look-around or back-references.
    """
    from pydantic_core import SchemaError, SchemaValidator

    try:
        return SchemaValidator({"type": "str", "pattern": pattern})
    except SchemaError as error:
        raise ValueError(str(error).strip().rpartition("\n")[2].removeprefix("error: ")) from None


def _fault(word: str, value: Any, kind: str) -> str:
    """Say why a limit cannot stand at a port of this kind, or ""."""
    fitting = {"pattern": "string", "minLength": "string", "maxLength": "string"}
    kinds = ("integer", "number") if word in _NUMBERS else (fitting.get(word, "list"),)
    if kind not in kinds:
        return f"says nothing of {kind}; it is for {' and '.join(kinds)}"
    if word == "pattern":
        return _pattern_fault(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "is no finite number; write one, or leave it out"
    if word == "multipleOf" and value <= 0:
        return "must be above 0"
    if word not in _NUMBERS and (not isinstance(value, int) or value < 0):
        return "must be a whole number of at least 0"
    return ""


def _pattern_fault(value: Any) -> str:
    if not isinstance(value, str):
        return "must be text"
    try:
        matcher(value)
    except ValueError as error:
        return f"is no pattern that can be used: {error}"
    return ""
