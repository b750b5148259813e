"""CLIP tokens: weighted text as chunks of 77 ids, framed and padded."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .prompt import Piece

START, END = 49406, 49407
LENGTH = 77
LONGEST_WORD = 8
"""Words of fewer tokens are not torn at a chunk's end; they open the next one."""
MOST_CHUNKS = 64

_WORD = re.compile(r"(?:[\S\x1c-\x1f])+")
"""What the tokenizer takes as one word; unlike Python it does not split at control characters."""

Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class Chunk:
    """As many ids as the encoder has places, and the weight of each."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


def tokenizer() -> Encode:
    """Return CLIP's byte-pair encoder; text that looks like a special token stays text."""
    module: Any = import_module("instant_clip_tokenizer")  # it comes without types
    encode: Encode = module.Tokenizer().encode
    return encode


def chunk(
    pieces: Iterable[Piece], encode: Encode, *, length: int = LENGTH, padding: int = END
) -> tuple[Chunk, ...]:
    """Tokenise weighted pieces: chunks of `length` - 2 ids between a start and an end.

    SD1 pads with the end token (49407), SD2 with 0. An empty prompt gives one chunk.

    Raises:
        ValueError: more than 64 chunks (4,800 tokens).
    """
    room = length - 2
    rows: list[list[tuple[int, float]]] = [[]]
    for word in _words(pieces, encode):
        if len(rows[-1]) + len(word) > room and len(word) < LONGEST_WORD:
            rows.append([])
        for token in word:
            if len(rows[-1]) == room:
                rows.append([])
            rows[-1].append(token)
        if len(rows) > MOST_CHUNKS:
            raise ValueError(f"prompt: more than {MOST_CHUNKS * room} tokens; shorten the text")
    return tuple(_framed(row, room, padding) for row in rows)


def _words(pieces: Iterable[Piece], encode: Encode) -> Iterator[list[tuple[int, float]]]:
    for piece in pieces:
        for word in _WORD.findall(piece.text):
            yield [(token, piece.weight) for token in encode(word)]


def _framed(row: list[tuple[int, float]], room: int, padding: int) -> Chunk:
    fill = room - len(row)
    ids = (START, *(token for token, _ in row), END, *[padding] * fill)
    return Chunk(ids, (1.0, *(weight for _, weight in row), 1.0, *[1.0] * fill))
