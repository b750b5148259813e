"""Read a sentence of the captions' kind back into a scene."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from nodegraph_blocks.scene import (
    COLOURS,
    FLOORS,
    MATERIALS,
    PLACES,
    SHAPES,
    TIMES,
    Colour,
    Place,
    Scene,
    Shape,
    Thing,
    behind,
    beside,
    sample_scene,
)

_SAME: Final = {
    "ball": "sphere",
    "box": "cube",
    "matte": "matt",
    "shiny": "glossy",
    "metallic": "metal",
    "turquoise": "cyan",
    "violet": "purple",
}
_GLUE: Final = {
    *("a", "an", "the", "and", "at", "in", "on", "of", "to", "next", "from", "with", "floor"),
    *("left", "right", "behind", "front", "between", "middle"),
}
_KNOWN: Final = {*SHAPES, *COLOURS, *MATERIALS, *TIMES, *FLOORS, *_GLUE}

T = TypeVar("T", bound=str)


@dataclass
class _Named:
    """What a sentence says of one thing; None is left to chance."""

    shape: Shape
    words: list[str]


def parse(text: str, seed: int = 0) -> Scene:
    """Make a scene that a sentence describes; what it leaves open is drawn from the seed.

    Raises:
        ValueError: no thing is named, or more than three, or a word is not of this world.
    """
    words: list[str] = [_SAME.get(word, word) for word in _letters(text)]
    unknown = [word for word in words if word not in _KNOWN]
    if unknown:
        raise ValueError(f"description: {unknown[0]!r} is unknown; use {_vocabulary()}")
    named = _named(words)
    if not 1 <= len(named) <= len(PLACES):
        raise ValueError(
            f"description: it names {len(named)} things; name one to three of {SHAPES}"
        )
    rng = random.Random(seed)
    scene = sample_scene(seed)
    free: list[Colour] = [
        colour for colour in COLOURS if not any(colour in thing.words for thing in named)
    ]
    rng.shuffle(free)
    places = _places(words, len(named), rng)
    things = [_thing(said, place, free, rng) for said, place in zip(named, places, strict=True)]
    time, floor = _said(words, TIMES), _said(words, FLOORS)
    return replace(scene, things=tuple(things), time=time or scene.time, floor=floor or scene.floor)


def _thing(named: _Named, place: Place, free: list[Colour], rng: random.Random) -> Thing:
    colour = _said(named.words, COLOURS)
    material = _said(named.words, MATERIALS)
    x, z, size = place
    return Thing(
        shape=named.shape,
        colour=free.pop() if colour is None else colour,
        material=rng.choice(MATERIALS) if material is None else material,
        x=x,
        z=z,
        size=size,
        turn=rng.choice((-1, 1)) * rng.uniform(0.3, 0.785),
    )


def _letters(text: str) -> list[str]:
    return [found.group() for found in re.finditer(r"[a-z]+", text.lower())]


def _named(words: Sequence[str]) -> list[_Named]:
    """Give each shape the colour and material words that stand before it."""
    things: list[_Named] = []
    before: list[str] = []
    for word in words:
        shape = _said([word], SHAPES)
        if shape is not None:
            things.append(_Named(shape, before))
            before = []
        else:
            before.append(word)
    return things


def _places(words: Sequence[str], count: int, rng: random.Random) -> list[Place]:
    """Place things as the sentence's relation says, else in the order in which it names them."""
    relation = _said(words, ("behind", "front", "between", "left", "right"))
    if count == 1:
        return [_single_place(relation, PLACES[1](rng)[0])]
    if count == 2:
        places = behind(rng) if relation in ("behind", "front") else beside(rng)
        by_depth = relation in ("behind", "front")
        places.sort(key=lambda place: place[1] if by_depth else place[0])
        return places[::-1] if relation in ("behind", "right") else places
    left, middle, right = sorted(PLACES[3](rng))
    return [middle, left, right] if relation == "between" else [left, middle, right]


def _single_place(relation: str | None, place: Place) -> Place:
    x, z, size = place
    sides = {"left": -max(abs(x), 0.6), "right": max(abs(x), 0.6)}
    return sides.get(relation or "", 0.0), z, size


def _said(words: Sequence[str], options: Sequence[T]) -> T | None:
    return next((option for option in options if option in words), None)


def _vocabulary() -> str:
    lists = (COLOURS, MATERIALS, SHAPES, TIMES, FLOORS)
    return "; ".join(", ".join(words) for words in lists)
