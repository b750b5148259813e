"""Changes JSON as JSON: bytes changed at random are seldom any."""

import json
import random
from collections.abc import Callable
from typing import Any

WORDS = (
    *("nodegraph", "title", "description", "requires", "inputs", "nodes", "outputs", "ui"),
    *("type", "flow", "map", "when", "default", "enum", "minimum", "maximum", "pattern", "ref"),
    *("literal", "image", "integer", "number", "string", "boolean", "array", "object", "file"),
    *("image.load", "image.canny", "image.invert@2", "diffusion.sample", "inputs.photo", "a.image"),
    *("flow", "files", "flows", "texts", "places", "settings", "packages", "environment", "device"),
    *("__metadata__", "dtype", "shape", "data_offsets", "F32", "BF16", "nodegraph.config", "b[0]"),
    *("", "..", "../x", "~", "a/b", "\x00", "\x1b[31m", "\ud800", "é" * 3, "x" * 101, ">=1,<2"),
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 16, 2**31, 2**48, 2**63, 10**400, 0.5, -0.0, 1e308, 1e-320)


def mutate_json(
    data: bytes, most: int, seed: int, plain: Callable[[bytes, int], bytes], wrap: tuple[int, int]
) -> bytes:
    """Return an input like another one: mostly another document, else other bytes."""
    dice = random.Random(seed)
    before, after = data[: wrap[0]], data[len(data) - wrap[1] :] if wrap[1] else b""
    text = data[wrap[0] : len(data) - wrap[1]]
    tail = b""
    headed = wrap[0] == 8 and before[1:] != b"-" * 7
    if headed:  # of a safetensors file: the header is mutated, what follows it stays
        end = int.from_bytes(before, "little")
        text, tail = text[:end], text[end:]
    if dice.random() < 0.3:
        return plain(data, most)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return plain(data, most)
    for _ in range(dice.choice([1, 1, 2, 4])):
        document = _changed(document, dice)
    changed = json.dumps(document).encode()
    if headed:
        before = len(changed).to_bytes(8, "little")
    return (before + changed + tail + after)[:most]


def _changed(value: Any, dice: random.Random) -> Any:
    """Change one place: go down at random, then put something else there."""
    keys = list(value) if isinstance(value, dict) else list(range(len(_listed(value))))
    if not keys or dice.random() < 0.2:
        return _other(value, dice)
    key = dice.choice(keys)
    copy = dict(value) if isinstance(value, dict) else list(value)
    if dice.random() < 0.8:
        copy[key] = _changed(value[key], dice)
    elif dice.random() < 0.5:
        del copy[key]
    elif isinstance(copy, dict):
        copy[dice.choice(WORDS)] = copy.pop(key)
    else:
        copy.insert(key, copy[dice.randrange(len(copy))])
    return copy


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _other(value: Any, dice: random.Random) -> Any:
    kind = dice.randrange(8)
    if kind == 0:
        return dice.choice(NUMBERS)
    if kind == 1:
        return dice.choice(WORDS)
    if kind == 2:
        return dice.choice([None, True, False, [], {}])
    if kind == 3:
        return [value] if dice.random() < 0.5 else [value, value]
    if kind == 4:
        return {dice.choice(WORDS): value}
    if kind == 5 and isinstance(value, dict):
        return {**value, dice.choice(WORDS): dice.choice([*WORDS, *NUMBERS, {}, []])}
    if kind == 6 and isinstance(value, str):
        return value + dice.choice(WORDS)
    if isinstance(value, bool | int | float):
        return dice.choice([value + 1, -value, value * 2, str(value)])
    return {"ref": dice.choice(WORDS)}
