"""Colours of the blocks world: paint, floors, and the sky and sun of each time of day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from nodegraph_blocks.scene import COLOURS, Colour, Material, Scene, Time
from nodegraph_blocks.solids import Floats

TILE: Final = 2.1  # metres; large, so that canny and an autoencoder both keep the joints clean

_PAINT: Final[dict[Colour, tuple[float, float, float]]] = {  # linear RGB
    "red": (0.76, 0.035, 0.04),
    "orange": (0.94, 0.27, 0.015),
    "yellow": (0.93, 0.72, 0.03),
    "green": (0.05, 0.46, 0.08),
    "cyan": (0.03, 0.58, 0.64),
    "blue": (0.045, 0.16, 0.86),
    "purple": (0.40, 0.08, 0.64),
    "white": (0.92, 0.92, 0.90),
}
PALETTE: Final[Floats] = np.array([_PAINT[colour] for colour in COLOURS], np.float32).T
GLOSS: Final[dict[Material, float]] = {"matt": 0.0, "glossy": 0.9, "metal": 1.1}


@dataclass(frozen=True)
class Sky:
    """Linear colours `(3,)` of a time of day; `ground` is the floor's mean colour in its light."""

    horizon: Floats
    zenith: Floats
    sun: Floats
    ambient: Floats
    ground: Floats

    def colour(self, ray: Floats) -> Floats:
        """Give the sky's colour `(3, N)` in the directions `ray (3, N)`."""
        rise = 1 - np.exp(-5 * np.clip(ray[1], 0, 1))
        mixed: Floats = self.horizon[:, None] + (self.zenith - self.horizon)[:, None] * rise
        return mixed


_TIMES: Final[dict[Time, tuple[tuple[float, float, float], ...]]] = {
    # horizon, zenith, sun, ambient
    "morning": ((0.95, 0.78, 0.55), (0.40, 0.60, 0.80), (1.00, 0.88, 0.68), (0.26, 0.28, 0.31)),
    "noon": ((0.60, 0.80, 0.96), (0.10, 0.33, 0.78), (1.05, 1.02, 0.96), (0.27, 0.30, 0.34)),
    "sunset": ((1.00, 0.40, 0.09), (0.22, 0.06, 0.30), (1.00, 0.78, 0.60), (0.24, 0.21, 0.25)),
    "night": ((0.045, 0.070, 0.18), (0.004, 0.008, 0.035), (0.62, 0.68, 0.80), (0.10, 0.12, 0.17)),
}
_FLOORS: Final[dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]]] = {
    # two tones: the floor lies between them, by the scene's floor_tone (tiled: both)
    "plain": ((0.30, 0.23, 0.16), (0.20, 0.21, 0.23)),
    "tiled": ((0.36, 0.32, 0.27), (0.13, 0.12, 0.13)),
    "polished": ((0.05, 0.055, 0.07), (0.12, 0.09, 0.07)),
}


def sky_of(scene: Scene) -> Sky:
    """Look up the light of a scene's time of day."""
    horizon, zenith, sun, ambient = (np.array(c, np.float32) for c in _TIMES[scene.time])
    mean = np.array(_FLOORS[scene.floor], np.float32).mean(0)
    return Sky(horizon, zenith, sun, ambient, mean * (0.6 * sun + ambient))


def floor_albedo(scene: Scene, x: Floats, z: Floats, pattern: float = 1.0) -> Floats:
    """Give the floor's colour `(3, N)` at the ground points `x, z (N,)`; pattern 0 is its mean."""
    first, second = (np.array(tone, np.float32)[:, None] for tone in _FLOORS[scene.floor])
    if scene.floor != "tiled":
        return np.broadcast_to(first + (second - first) * scene.floor_tone, (3, x.size))
    # x = 0 lies in the middle of a tile: a mirrored scene has the same floor
    odd = (np.floor(x / TILE + 0.5) + np.floor(z / TILE + scene.floor_tone)) % 2
    # far tiles fade into their mean: fine patterns flood canny and alias
    contrast = pattern * np.clip(1.5 - (z + 6) / 8, 0, 1)
    share = 0.5 + (odd - 0.5) * contrast
    mixed: Floats = first + (second - first) * share
    return mixed
