"""Where rays meet the four solids and the ground, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nodegraph_blocks.scene import Shape, Thing

# Computed in float32; the wide type spares a cast at every step.
Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.uint8]

SKY: Final = 0
GROUND: Final = 1
FIRST_THING: Final = 2
FAR: Final = np.float32(1e9)
_NEAR: Final = np.float32(1e-3)
_TINY: Final = np.float32(1e-9)


@dataclass
class Hits:
    """The nearest surface of each ray: `t (N,)`, outward unit `normal (3, N)`, `label (N,)`."""

    t: Floats
    normal: Floats
    label: Labels


def extents(thing: Thing) -> tuple[float, float]:
    """Give a thing's horizontal radius (half a side for a cube) and its height, in metres."""
    radius, height = _PROPORTIONS[thing.shape]
    return radius * thing.size, height * thing.size


def trace(things: Sequence[Thing], origin: Floats, ray: Floats) -> Hits:
    """Find the nearest hit of rays `(3, N)` of unit length from `origin` `(3, N)` or `(3, 1)`."""
    count = ray.shape[1]
    t = np.full(count, FAR, np.float32)
    normal = np.zeros((3, count), np.float32)
    label = np.zeros(count, np.uint8)
    down = ray[1] < -1e-4
    t[down] = np.broadcast_to(-origin[1] / np.where(down, ray[1], -1), (count,))[down]
    normal[1, down] = 1
    label[down] = GROUND
    for index, thing in enumerate(things):
        rows, near, near_normal = _meet(thing, origin, ray)
        closer = near < t[rows]
        rows = rows[closer]
        t[rows] = near[closer]
        normal[:, rows] = near_normal[:, closer]
        label[rows] = FIRST_THING + index
    return Hits(t, normal, label)


def blocked(things: Sequence[Thing], origin: Floats, ray: Floats) -> NDArray[np.bool_]:
    """Tell which rays `(3, N)` meet any thing."""
    result = np.zeros(ray.shape[1], np.bool_)
    for thing in things:
        rows, near, _ = _meet(thing, origin, ray)
        result[rows] |= near < FAR
    return result


def _meet(thing: Thing, origin: Floats, ray: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Intersect the rays that pass a thing's bounding sphere, in the thing's own frame."""
    radius, height = extents(thing)
    centre = (thing.x, height / 2, thing.z)
    to_x, to_y, to_z = (c - o for c, o in zip(centre, origin, strict=True))
    along = to_x * ray[0] + to_y * ray[1] + to_z * ray[2]
    spread = 2.0 if thing.shape == "cube" else 1.0
    bound = spread * radius**2 + height**2 / 4 if thing.shape != "sphere" else radius**2
    passes = (to_x**2 + to_y**2 + to_z**2 - along**2 < bound) & (along > 0)
    rows = np.flatnonzero(passes)
    o = origin[:, rows] if origin.shape[1] > 1 else origin
    d = ray[:, rows]
    cos, sin = np.float32(np.cos(thing.turn)), np.float32(np.sin(thing.turn))
    x, z = o[0] - np.float32(thing.x), o[2] - np.float32(thing.z)
    local_o = np.stack([cos * x - sin * z, np.broadcast_to(o[1], x.shape), sin * x + cos * z])
    local_d = np.stack([cos * d[0] - sin * d[2], d[1], sin * d[0] + cos * d[2]])
    t, n = _SOLIDS[thing.shape](local_o, local_d, np.float32(radius), np.float32(height))
    normal = np.stack([cos * n[0] + sin * n[2], n[1], cos * n[2] - sin * n[0]])
    return rows, t, normal


def _sphere(o: Floats, d: Floats, radius: np.float32, height: np.float32) -> tuple[Floats, Floats]:
    o = o - np.array([[0], [radius], [0]], np.float32)
    b = (o * d).sum(0)
    root = b * b - (o * o).sum(0) + radius**2
    t = -b - np.sqrt(np.maximum(root, 0))
    t = np.where((root > 0) & (t > _NEAR), t, FAR)
    return t, (o + np.minimum(t, 1e4) * d) / radius


def _cube(o: Floats, d: Floats, radius: np.float32, height: np.float32) -> tuple[Floats, Floats]:
    half = np.array([[radius], [height / 2], [radius]], np.float32)
    o = o - np.array([[0], [height / 2], [0]], np.float32)
    inverse = 1 / np.where(np.abs(d) < _TINY, _TINY, d)
    enter = -o * inverse - half * np.abs(inverse)
    leave = (-o * inverse + half * np.abs(inverse)).min(0)
    axis = enter.argmax(0)
    t = enter.max(0)
    t = np.where((t < leave) & (t > _NEAR), t, FAR)
    normal = np.where(np.arange(3)[:, None] == axis, -np.sign(d), 0).astype(np.float32)
    return t, normal


def _cylinder(
    o: Floats, d: Floats, radius: np.float32, height: np.float32
) -> tuple[Floats, Floats]:
    a = d[0] ** 2 + d[2] ** 2 + _TINY
    b = o[0] * d[0] + o[2] * d[2]
    root = b * b - a * (o[0] ** 2 + o[2] ** 2 - radius**2)
    side = (-b - np.sqrt(np.maximum(root, 0))) / a
    y = o[1] + side * d[1]
    side = np.where((root > 0) & (side > _NEAR) & (y >= 0) & (y <= height), side, FAR)
    top = _disc(o, d, radius, height)
    t = np.minimum(side, top)
    on_side = side <= top
    reach = np.minimum(t, 1e4)
    normal = np.stack(
        [
            np.where(on_side, (o[0] + reach * d[0]) / radius, 0),
            np.where(on_side, 0, 1),
            np.where(on_side, (o[2] + reach * d[2]) / radius, 0),
        ]
    ).astype(np.float32)
    return t, normal


def _cone(o: Floats, d: Floats, radius: np.float32, height: np.float32) -> tuple[Floats, Floats]:
    slope = radius / height
    drop = height - o[1]
    a = d[0] ** 2 + d[2] ** 2 - (slope * d[1]) ** 2
    a = np.where(np.abs(a) < _TINY, _TINY, a)
    b = o[0] * d[0] + o[2] * d[2] + slope**2 * drop * d[1]
    root = b * b - a * (o[0] ** 2 + o[2] ** 2 - (slope * drop) ** 2)
    spread = np.sqrt(np.maximum(root, 0))
    t = np.full(d.shape[1], FAR, np.float32)
    for sign in (-1, 1):
        near = (-b + sign * spread) / a
        y = o[1] + near * d[1]
        t = np.where((root > 0) & (near > _NEAR) & (y >= 0) & (y <= height), np.minimum(t, near), t)
    reach = np.minimum(t, 1e4)
    normal = np.stack([o[0] + reach * d[0], slope**2 * (drop - reach * d[1]), o[2] + reach * d[2]])
    length = np.sqrt((normal**2).sum(0)) + _TINY
    return t.astype(np.float32), (normal / length).astype(np.float32)


def _disc(o: Floats, d: Floats, radius: np.float32, height: np.float32) -> Floats:
    """Meet the horizontal disc at `height` from above."""
    t = (height - o[1]) / np.where(d[1] < -_TINY, d[1], -1)
    inside = (o[0] + t * d[0]) ** 2 + (o[2] + t * d[2]) ** 2 <= radius**2
    return np.where((d[1] < -_TINY) & inside & (t > _NEAR), t, FAR).astype(np.float32)


_PROPORTIONS: Final[dict[Shape, tuple[float, float]]] = {
    "sphere": (0.5, 1.0),
    "cube": (0.41, 0.82),
    "cylinder": (0.37, 1.0),
    "cone": (0.47, 1.12),
}
_SOLIDS: Final[
    dict[Shape, Callable[[Floats, Floats, np.float32, np.float32], tuple[Floats, Floats]]]
] = {"sphere": _sphere, "cube": _cube, "cylinder": _cylinder, "cone": _cone}
