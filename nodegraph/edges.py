"""Values at the edges of what a node takes, and their combinations: what nodes are tried with."""

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .jsontext import is_list
from .ports import port_named
from .spec import InputSpec
from .types import PortType
from .values import Misfit, conform

MOST_CALLS: Final = 60
"""Calls of one node."""
MOST: Final = 64
"""The largest whole number that is tried, whatever a range allows: it is often a size."""


def combined(values: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield each value once with the first of all others, then mixtures, always the same."""
    first = {name: found[0] for name, found in values.items()}
    yield dict(first)
    count = 1
    for name, found in values.items():
        for value in found[1:]:
            yield {**first, name: value}
            count += 1
    dice = random.Random(0)
    for _ in range(max(0, MOST_CALLS - count)):
        if all(len(found) == 1 for found in values.values()):
            return
        yield {name: dice.choice(found) for name, found in values.items()}


def values_of(port: InputSpec) -> list[Any]:
    """Return what an input is tried with, its default first; nothing where nothing is known."""
    own = [] if port.required else [port.default]
    return own + [value for value in _edges(port.type) if value not in own]


def _edges(type_: PortType) -> list[Any]:
    """Return values at the edges of what a type takes; none where nothing is known."""
    if type_.kind == "port":
        codec = port_named(type_.port).codec
        return [Same(each) for each in codec.examples()] if codec.can("examples") else []
    if type_.kind == "list":
        items = _edges(type_.item) if type_.item else []
        least = int(type_.limits.get("minItems", 0))
        return [items[:1] * max(1, least), (items * 2)[: max(2, least)]] if items else []
    known: dict[str, list[Any]] = {
        "boolean": [False, True],
        "choice": list(type_.choices),
        "string": [text for text in ("", "a", "a b, (c:1.2)") if _takes(type_, text)],
        "object": [{}],
    }
    return known.get(type_.kind) or _numbers(type_)


def _numbers(type_: PortType) -> list[Any]:
    if type_.kind not in ("integer", "number"):
        return []
    step = type_.limits.get("multipleOf", 1 if type_.kind == "integer" else 1e-6)
    low = type_.limits.get("minimum", type_.limits.get("exclusiveMinimum", 0))
    high = min(type_.limits.get("maximum", type_.limits.get("exclusiveMaximum", MOST)), MOST)
    tried = [low, low + step, high - step, high, (low + high) / 2, (low + high) // 2, 0, 1, MOST]
    if type_.kind == "integer":
        tried = [int(value) for value in tried if float(value).is_integer()]
    return [value for value in dict.fromkeys(tried) if value <= MOST and _takes(type_, value)]


def _takes(type_: PortType, value: Any) -> bool:
    try:
        conform(value, type_)
    except Misfit:
        return False
    return True


class Same:
    """An example, compared by identity: its class may not be comparable."""

    def __init__(self, value: Any) -> None:
        self.value = value


def plain(value: Any) -> Any:
    """Return a value as a node gets it."""
    if isinstance(value, Same):
        return value.value
    return [plain(item) for item in value] if is_list(value) else value
