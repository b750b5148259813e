"""The blocks world as data: which objects stand where, in which light, on which floor."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, TypeVar, get_args

Shape = Literal["sphere", "cube", "cylinder", "cone"]
Colour = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "white"]
Material = Literal["matt", "glossy", "metal"]
Floor = Literal["plain", "tiled", "polished"]
Time = Literal["morning", "noon", "sunset", "night"]

SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)
COLOURS: Final[tuple[Colour, ...]] = get_args(Colour)
MATERIALS: Final[tuple[Material, ...]] = get_args(Material)
FLOORS: Final[tuple[Floor, ...]] = get_args(Floor)
TIMES: Final[tuple[Time, ...]] = get_args(Time)

# The mix of scenes: how often one, two and three objects stand in the picture.
COUNT_SHARES: Final = (0.5, 0.35, 0.15)
# Of two objects, how often the second stands behind the first rather than beside it.
BEHIND_SHARE: Final = 0.3

T = TypeVar("T")


@dataclass(frozen=True)
class Thing:
    """One object on the ground; lengths in metres, `x` to the right, `z` away from the camera."""

    shape: Shape
    colour: Colour
    material: Material
    x: float
    z: float
    size: float
    turn: float


@dataclass(frozen=True)
class Scene:
    """All that the renderer needs; angles in radians, `azimuth` 0 is behind the camera."""

    things: tuple[Thing, ...]
    time: Time
    floor: Floor
    floor_tone: float
    azimuth: float
    elevation: float
    camera_height: float


def sample_scene(seed: int) -> Scene:
    """Draw the scene that belongs to a seed: the same on every machine and Python version.

    Only `random.Random.random` is used: its sequence is promised to stay.
    """
    rng = random.Random(seed)
    count = 1 + _weighted(rng, COUNT_SHARES)
    colours = _shuffled(rng, COLOURS)
    things = tuple(
        _thing(rng, colour, *place)
        for colour, place in zip(colours, PLACES[count](rng), strict=False)
    )
    return Scene(
        things=things,
        time=_pick(rng, TIMES),
        floor=_pick(rng, FLOORS),
        floor_tone=_between(rng, 0.0, 1.0),
        azimuth=_side(rng) * _between(rng, 0.5, 1.3),
        elevation=_between(rng, 0.6, 0.9),
        camera_height=_between(rng, 1.5, 1.9),
    )


def mirror(scene: Scene) -> Scene:
    """Swap left and right: the mirrored scene's picture is the mirrored picture."""
    things = tuple(replace(thing, x=-thing.x, turn=-thing.turn) for thing in scene.things)
    return replace(scene, things=things, azimuth=-scene.azimuth)


def to_json(scene: Scene) -> str:
    """Write a scene as one line of JSON."""
    return json.dumps(asdict(scene), separators=(",", ":"))


def from_json(text: str) -> Scene:
    """Read what `to_json` wrote.

    Raises:
        ValueError: the text is not a scene.
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        things = tuple(Thing(**thing) for thing in fields.pop("things"))
        return Scene(things=things, **fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"scene: {error}; give what blocks.scene writes") from error


def _thing(rng: random.Random, colour: Colour, x: float, z: float, size: float) -> Thing:
    return Thing(
        shape=_pick(rng, SHAPES),
        colour=colour,
        material=_pick(rng, MATERIALS),
        x=round(x, 4),
        z=round(z, 4),
        size=round(size, 4),
        # never face on: a cube must show two sides, or nothing tells it from a cylinder
        turn=_side(rng) * _between(rng, 0.3, 0.785),
    )


Place = tuple[float, float, float]  # x, z and size


def _one(rng: random.Random) -> list[Place]:
    return [(_between(rng, -0.95, 0.95), _between(rng, -0.4, 0.6), _between(rng, 1.35, 1.8))]


def _two(rng: random.Random) -> list[Place]:
    return behind(rng) if rng.random() < BEHIND_SHARE else beside(rng)


def behind(rng: random.Random) -> list[Place]:
    """Place two things one behind the other, in either order."""
    x = _side(rng) * _between(rng, 0.45, 0.75)
    shift = _between(rng, -0.2, 0.2)
    front = (shift - x, _between(rng, -0.9, -0.6), _between(rng, 1.0, 1.2))
    back = (shift + x * 1.1, _between(rng, 1.3, 1.9), _between(rng, 1.4, 1.7))
    return [front, back] if rng.random() < 0.5 else [back, front]


def beside(rng: random.Random) -> list[Place]:
    """Place two things side by side, in either order."""
    gap = _between(rng, 0.74, 0.9)
    shift = _between(rng, -0.12, 0.12)
    row = [
        (shift + side * gap, _between(rng, -0.3, 0.5), _between(rng, 1.1, 1.4)) for side in (-1, 1)
    ]
    return row if rng.random() < 0.5 else row[::-1]


def _three(rng: random.Random) -> list[Place]:
    row = [
        (side * _between(rng, 1.1, 1.2), _between(rng, 0.0, 0.6), _between(rng, 0.9, 1.05))
        for side in (-1.0, 0.0, 1.0)
    ]
    return _shuffled(rng, row)


PLACES: Final = {1: _one, 2: _two, 3: _three}


def _between(rng: random.Random, low: float, high: float) -> float:
    return round(low + (high - low) * rng.random(), 4)


def _side(rng: random.Random) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _pick(rng: random.Random, options: Sequence[T]) -> T:
    return options[int(rng.random() * len(options))]


def _weighted(rng: random.Random, shares: Sequence[float]) -> int:
    draw = rng.random()
    for index, share in enumerate(shares):
        draw -= share
        if draw < 0:
            return index
    return len(shares) - 1


def _shuffled(rng: random.Random, options: Sequence[T]) -> list[T]:
    return [item for _, item in sorted(((rng.random(), item) for item in options), key=_first)]


def _first(pair: tuple[float, object]) -> float:
    return pair[0]
