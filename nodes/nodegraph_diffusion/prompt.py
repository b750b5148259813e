"""Prompt syntax: text with weights in parentheses becomes a list of weighted pieces."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Syntax = Literal["comfy", "a1111", "plain"]

STEP = 1.1
"""What one pair of parentheses without a number multiplies by."""

LARGEST = 100.0
"""Weights beyond this, either way, are refused: nothing drawable is left of the text."""

LONGEST = 100_000
"""Prompts of more characters are refused: no network reads them."""

_MARK = re.compile(r"\\(.)|([()\[\]])", re.DOTALL)
_WEIGHT = re.compile(r":\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What a command line hands over in place of bytes that are no UTF-8."""

_ESCAPED = "()[]\\"


@dataclass(frozen=True)
class Piece:
    """A stretch of plain text and its weight."""

    text: str
    weight: float


@dataclass
class _Mark:
    """A parenthesis, or the text between two."""

    kind: str  # "text", "(", ")", "[" or "]"
    text: str
    matched: bool = False
    weight: float | None = None  # the number before the closing parenthesis, on the opening one


def parse(text: str, syntax: Syntax = "comfy") -> list[Piece]:
    r"""Split a prompt into weighted pieces, in time linear in its length.

    `(x)` weighs 1.1 times as much, nested ones multiply; `(x:1.3)` weighs 1.3; `\(` and `\)` are
    plain. Parentheses without a partner are plain text, and so is a colon without a number.
    "comfy": a number replaces what is around it, brackets are plain. "a1111": a number multiplies
    what is around it, and `[x]` divides by 1.1. "plain": nothing is syntax.

    Raises:
        ValueError: a weight beyond 100 either way, more than 100,000 characters, or half a
            surrogate pair.
    """
    if len(text) > LONGEST:
        raise ValueError(f"prompt: {len(text)} characters are too many; keep below {LONGEST}")
    if broken := _SURROGATE.search(text):
        raise ValueError(f"prompt: {broken.group()!r} is no character; give the text as UTF-8")
    if syntax == "plain":
        return [Piece(text, 1.0)] if text else []
    marks = list(_marks(text, brackets=syntax == "a1111"))
    _match(marks)
    return _merge(_weigh(marks, multiply=syntax == "a1111"))


def _marks(text: str, brackets: bool) -> Iterator[_Mark]:
    plain: list[str] = []
    start = 0
    for found in _MARK.finditer(text):
        escaped: str | None = found.group(1)
        sign: str | None = found.group(2)
        plain.append(text[start : found.start()])
        start = found.end()
        if sign is None or (sign in "[]" and not brackets):
            plain.append(escaped if escaped and escaped in _ESCAPED else found.group())
            continue
        yield _Mark("text", "".join(plain))
        yield _Mark(sign, sign)
        plain = []
    yield _Mark("text", "".join([*plain, text[start:]]))


def _match(marks: list[_Mark]) -> None:
    """Pair the parentheses, and move a closing weight from the text to its opening one."""
    partner = {")": "(", "]": "["}
    stack: list[_Mark] = []
    for before, mark in zip([_Mark("text", ""), *marks], marks, strict=False):
        if mark.kind in "([":
            stack.append(mark)
        elif mark.kind in partner and stack and stack[-1].kind == partner[mark.kind]:
            opening = stack.pop()
            opening.matched = mark.matched = True
            found = _WEIGHT.search(before.text[-64:]) if mark.kind == ")" else None
            if found:
                opening.weight = float(found.group(1))
                before.text = before.text[: len(before.text) - len(found.group())]


def _weigh(marks: list[_Mark], multiply: bool) -> Iterator[Piece]:
    stack = [1.0]
    for mark in marks:
        if not mark.matched:
            yield Piece(mark.text, stack[-1])
        elif mark.kind == "(" and mark.weight is not None:
            stack.append(_limited(stack[-1] * mark.weight if multiply else mark.weight))
        elif mark.kind in "([":
            stack.append(_limited(stack[-1] * (STEP if mark.kind == "(" else 1 / STEP)))
        else:
            stack.pop()


def _limited(weight: float) -> float:
    if not math.isfinite(weight) or abs(weight) > LARGEST:
        raise ValueError(
            f"prompt: a weight of {weight:g} is too strong; stay within {LARGEST:g} either way"
        )
    return weight


def _merge(pieces: Iterator[Piece]) -> list[Piece]:
    """Join neighbours of one weight, so that plain text stays in one piece."""
    merged: list[tuple[list[str], float]] = []
    for piece in pieces:
        if not piece.text:
            continue
        if not merged or merged[-1][1] != piece.weight:
            merged.append(([], piece.weight))
        merged[-1][0].append(piece.text)
    return [Piece("".join(texts), weight) for texts, weight in merged]
