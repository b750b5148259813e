"""Say in words what a scene shows, in many more or less complete ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from nodegraph_blocks.scene import Scene, Thing

# A relation is only said where nobody would doubt it, in metres.
CLEARLY_BEHIND: Final = 1.2
CLEARLY_BESIDE: Final = 0.5
CLEARLY_OFF_CENTRE: Final = 0.4

_OTHER_WORDS: Final = {
    "sphere": "ball",
    "cube": "box",
    "matt": "matte",
    "glossy": "shiny",
    "metal": "metallic",
    "cyan": "turquoise",
    "purple": "violet",
}
_TIME_WORDS: Final = {
    "morning": "in the morning",
    "noon": "at noon",
    "sunset": "at sunset",
    "night": "at night",
}
_OTHER_WORD_SHARE: Final = 0.08

T = TypeVar("T")


class Draw(Protocol):
    """What captions draw from: `random.Random` and `numpy.random.Generator` both fit."""

    def random(self) -> float:
        """Give a number in [0, 1)."""
        ...


def caption(scene: Scene, rng: Draw) -> str:
    """Describe a scene; each call leaves out other parts, so prompts of any length are known."""
    clauses = _settings(scene, rng)
    text = _subject(scene.things, rng)
    if clauses and rng.random() < 0.1:
        text = f"{clauses.pop(0)}, {text}"
    return ", ".join([text, *clauses])


def full_caption(scene: Scene) -> str:
    """Describe a scene with every part and the plain words: the same text at every call."""
    return caption(scene, _Always())


class _Always:
    """A draw that leaves nothing out and never takes another word."""

    def random(self) -> float:
        return 0.5


def _settings(scene: Scene, rng: Draw) -> list[str]:
    clauses: list[str] = []
    if rng.random() < 0.65:
        clauses.append(_TIME_WORDS[scene.time])
    if rng.random() < 0.6:
        clauses.append(f"on a {scene.floor} floor")
    return clauses[::-1] if rng.random() < 0.25 else clauses


def _subject(things: Sequence[Thing], rng: Draw) -> str:
    if len(things) == 1:
        return _single(things[0], rng)
    if len(things) == 2:
        return _pair(things[0], things[1], rng)
    return _row(things, rng)


def _single(thing: Thing, rng: Draw) -> str:
    name = _name(thing, rng)
    if rng.random() > 0.6:
        return name
    if abs(thing.x) < CLEARLY_OFF_CENTRE:
        return f"{name} in the middle" if abs(thing.x) < CLEARLY_OFF_CENTRE / 2 else name
    return f"{name} on the {'left' if thing.x < 0 else 'right'}"


def _pair(first: Thing, second: Thing, rng: Draw) -> str:
    names = f"{_name(first, rng)}", f"{_name(second, rng)}"
    said = [*_depth_relation(first, second), *_side_relation(first, second)]
    if not said or rng.random() > 0.75:
        return f"{names[0]} {_pick(('and', 'next to', 'and'), rng)} {names[1]}"
    return f"{names[0]} {_pick(said, rng)} {names[1]}"


def _depth_relation(first: Thing, second: Thing) -> list[str]:
    if abs(first.z - second.z) < CLEARLY_BEHIND:
        return []
    # twice: where one stands behind the other, that is what is mostly said
    return ["behind" if first.z > second.z else "in front of"] * 2


def _side_relation(first: Thing, second: Thing) -> list[str]:
    if abs(first.x - second.x) < CLEARLY_BESIDE:
        return []
    return ["left of" if first.x < second.x else "right of"]


def _row(things: Sequence[Thing], rng: Draw) -> str:
    way = rng.random()
    if way < 0.3:
        a, b, c = (_name(thing, rng) for thing in things)
        return f"{a}, {b} and {c}"
    left, middle, right = (_name(thing, rng) for thing in sorted(things, key=lambda t: t.x))
    if way < 0.65:
        return f"{left}, {middle} and {right} from left to right"
    return f"{middle} between {left} and {right}"


def _name(thing: Thing, rng: Draw) -> str:
    words: list[str] = [
        *([thing.colour] if rng.random() < 0.93 else []),
        *([thing.material] if rng.random() < 0.6 else []),
        thing.shape,
    ]
    words = [_word(word, rng) for word in words]
    return f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"


def _word(word: str, rng: Draw) -> str:
    other = rng.random() < _OTHER_WORD_SHARE
    return _OTHER_WORDS.get(word, word) if other else word


def _pick(options: Sequence[T], rng: Draw) -> T:
    return options[int(rng.random() * len(options))]
