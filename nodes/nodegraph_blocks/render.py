"""The blocks world as pictures: ray casting with soft shadows and one reflection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nodegraph_blocks.light import GLOSS, PALETTE, Sky, floor_albedo, sky_of
from nodegraph_blocks.scene import COLOURS, Scene
from nodegraph_blocks.solids import (
    FIRST_THING,
    GROUND,
    SKY,
    Floats,
    Hits,
    Labels,
    blocked,
    extents,
    trace,
)

CAMERA_DISTANCE: Final = 6.0
CAMERA_TARGET_HEIGHT: Final = 0.72
HALF_VIEW: Final = 0.31  # tangent of half the vertical angle of view
SUN_RADIUS: Final = 0.045  # how far the four light samples lie from the sun's centre, radians
HINT_NEAR: Final = 3.6  # metres drawn white in a depth hint
HINT_FAR: Final = 16.0  # metres drawn black
_SUBSAMPLES: Final = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


@dataclass(frozen=True)
class Rendering:
    """One rendered scene.

    `picture (H, W, 3) float32` is RGB in [0, 1]; `depth (H, W) float32` metres along the view
    axis, infinite in the sky; `normals (H, W, 3) float32` in camera axes (right, up, towards the
    camera), zero in the sky; `segmentation (H, W) uint8` is 0 sky, 1 ground, 2 the first thing.
    """

    picture: NDArray[np.float32]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    segmentation: Labels


def render(scene: Scene, size: int = 128) -> Rendering:
    """Render a scene with 2 x 2 samples a pixel; each sample sees another part of the sun."""
    origin, axes = _camera(scene)
    ray, along = _rays(axes, size)
    hits = trace(scene.things, origin, ray)
    light = np.repeat(_sun_samples(scene), size * size, axis=1)
    linear = _shade(scene, sky_of(scene), origin, ray, hits, light, bounces=1)
    picture = _to_display(linear.reshape(3, 4, size, size).mean(1)).transpose(1, 2, 0)
    return Rendering(np.ascontiguousarray(picture), *_geometry(hits, along, axes, size))


def depth_hint(depth: Floats) -> NDArray[np.float32]:
    """Draw depth `(H, W)` in metres as a hint in [0, 1]: near is white, the sky black.

    The scale is that of inverse depth, which monocular depth estimators also give.
    """
    span = 1 / HINT_NEAR - 1 / HINT_FAR
    return np.clip((1 / depth - 1 / HINT_FAR) / span, 0, 1).astype(np.float32)


def _camera(scene: Scene) -> tuple[Floats, Floats]:
    """Give the camera's place `(3, 1)` and its axes right, up, forward as rows `(3, 3)`."""
    origin = np.array([[0], [scene.camera_height], [-CAMERA_DISTANCE]], np.float32)
    forward = np.array([0, CAMERA_TARGET_HEIGHT - scene.camera_height, CAMERA_DISTANCE])
    forward = forward / np.linalg.norm(forward)
    right = np.array([1.0, 0.0, 0.0])
    return origin, np.stack([right, np.cross(forward, right), forward]).astype(np.float32)


def _rays(axes: Floats, size: int) -> tuple[Floats, Floats]:
    """Give unit rays `(3, 4 * size * size)`, sample by sample, and their share along the view."""
    centre = (np.arange(size, dtype=np.float32) + 0.5 - size / 2) * (2 * HALF_VIEW / size)
    pixel = 2 * HALF_VIEW / size
    shape = (len(_SUBSAMPLES), size, size)
    across = np.empty(shape, np.float32)
    above = np.empty(shape, np.float32)
    for index, (dx, dy) in enumerate(_SUBSAMPLES):
        across[index] = (centre + dx * pixel)[None, :]
        above[index] = -(centre + dy * pixel)[:, None]
    a, b = across.reshape(-1), above.reshape(-1)
    along = 1 / np.sqrt(1 + a * a + b * b)
    ray = (axes[0][:, None] * a + axes[1][:, None] * b + axes[2][:, None]) * along
    return ray.astype(np.float32), along


def _sun_samples(scene: Scene) -> Floats:
    """Give four directions `(3, 4)` to the sun, spread over its disc."""
    flat = np.cos(scene.elevation)
    sun = np.array(
        [flat * np.sin(scene.azimuth), np.sin(scene.elevation), -flat * np.cos(scene.azimuth)]
    )
    side = np.cross(sun, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, sun)
    spread = SUN_RADIUS * np.array([[-0.9, -0.4], [0.4, -0.9], [-0.4, 0.9], [0.9, 0.4]])
    samples = sun[:, None] + side[:, None] * spread[:, 0] + up[:, None] * spread[:, 1]
    unit: Floats = (samples / np.linalg.norm(samples, axis=0)).astype(np.float32)
    return unit


def _shade(
    scene: Scene, sky: Sky, origin: Floats, ray: Floats, hits: Hits, light: Floats, bounces: int
) -> Floats:
    """Give the linear colour `(3, N)` that each ray brings."""
    colour = sky.colour(ray)
    rows = np.flatnonzero(hits.label != SKY)
    label, normal, t = hits.label[rows], hits.normal[:, rows], hits.t[rows]
    d, towards = ray[:, rows], light[:, rows]
    point = (origin if origin.shape[1] == 1 else origin[:, rows]) + t * d + 1e-3 * normal
    albedo = PALETTE[:, _palette_rows(scene)[label]]
    ground = label == GROUND
    # mirrored tiles would be texture finer than the pixels of a curved thing: take their mean
    blend = 1.0 if bounces else 0.0
    albedo[:, ground] = floor_albedo(scene, point[0, ground], point[2, ground], blend)
    facing = np.maximum((normal * towards).sum(0), 0)
    lit = np.flatnonzero(facing > 0)
    facing[lit[blocked(scene.things, point[:, lit], towards[:, lit])]] = 0
    open_sky = (0.62 + 0.38 * normal[1]) * _ambient_share(scene, point, label)
    surface = albedo * (sky.sun[:, None] * facing + sky.ambient[:, None] * open_sky)
    surface = _reflect(scene, sky, (point, d, normal, label, towards), albedo, surface, bounces)
    gloss = _gloss(scene)[label]
    half = towards - d
    half /= np.sqrt((half * half).sum(0))
    spot = gloss * np.maximum((half * normal).sum(0), 0) ** 60 * (facing > 0)
    surface += sky.sun[:, None] * spot
    haze = 1 - np.exp(-0.016 * np.maximum(t - 7, 0))
    colour[:, rows] = surface + (sky.horizon[:, None] - surface) * haze
    return colour


def _reflect(
    scene: Scene,
    sky: Sky,
    at: tuple[Floats, Floats, Floats, Labels, Floats],
    albedo: Floats,
    surface: Floats,
    bounces: int,
) -> Floats:
    """Mix what metal, glossy things and a polished floor mirror into their own colour."""
    point, d, normal, label, light = at
    strength, tinted = _mirrors(scene)
    rows = np.flatnonzero(strength[label] > 0)
    if not rows.size:
        return surface
    p, n, own = point[:, rows], normal[:, rows], label[rows]
    cosine = np.clip(-(d[:, rows] * n).sum(0), 0, 1)
    ray = d[:, rows] + 2 * cosine * n
    if bounces:
        hits = trace(scene.things, p, ray)
        seen = _shade(scene, sky, p, ray, hits, light[:, rows], bounces - 1)
    else:
        seen = np.where(ray[1] > 0, sky.colour(ray), sky.ground[:, None])
    fresnel = strength[own] + (1 - strength[own]) * 0.6 * (1 - cosine) ** 5
    tint = np.where(tinted[own], albedo[:, rows] * 1.05 + 0.06, 1)
    surface[:, rows] = surface[:, rows] * (1 - fresnel) + seen * tint * fresnel
    return surface


def _ambient_share(scene: Scene, point: Floats, label: Labels) -> Floats:
    """Darken what is close to a thing's foot: a smooth stand-in for ambient occlusion."""
    share = np.ones(point.shape[1], np.float32)
    for index, thing in enumerate(scene.things):
        radius, _ = extents(thing)
        distance = (point[0] - thing.x) ** 2 + (point[2] - thing.z) ** 2 + point[1] ** 2
        near = 0.45 * np.exp(-distance / (1.1 * radius) ** 2)
        share *= 1 - np.where(label == FIRST_THING + index, 0, near)
    foot = np.exp(-point[1] / np.float32(0.12))
    share *= np.where(label >= FIRST_THING, 1 - 0.3 * foot, 1)
    return share


def _palette_rows(scene: Scene) -> NDArray[np.intp]:
    return np.array([0, 0, *(COLOURS.index(thing.colour) for thing in scene.things)])


def _gloss(scene: Scene) -> Floats:
    return np.array([0, 0, *(GLOSS[thing.material] for thing in scene.things)], np.float32)


def _mirrors(scene: Scene) -> tuple[Floats, NDArray[np.bool_]]:
    """Give, per label, the share mirrored head-on and whether the mirror image is tinted."""
    share = {"matt": 0.0, "glossy": 0.05, "metal": 0.48}
    floor = 0.28 if scene.floor == "polished" else 0.0
    things = scene.things
    strength = np.array([0, floor, *(share[thing.material] for thing in things)], np.float32)
    tinted = np.array([False, False, *(thing.material == "metal" for thing in things)])
    return strength, tinted


def _to_display(linear: Floats) -> NDArray[np.float32]:
    """Compress highlights softly and apply the display's gamma."""
    shoulder = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.6), linear)
    return (np.clip(shoulder, 0, 1) ** (1 / 2.2)).astype(np.float32)


def _geometry(
    hits: Hits, along: Floats, axes: Floats, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], Labels]:
    """Take depth, normal and label of the nearest of a pixel's samples."""
    samples = (len(_SUBSAMPLES), size * size)
    depth = np.where(hits.label == SKY, np.inf, hits.t * along).reshape(samples)
    chosen = depth.argmin(0), np.arange(size * size)
    x, y, z = axes @ hits.normal
    normals = np.stack([x, y, -z], axis=-1).reshape(*samples, 3)[chosen]
    return (
        depth[chosen].reshape(size, size).astype(np.float32),
        normals.reshape(size, size, 3).astype(np.float32),
        hits.label.reshape(samples)[chosen].reshape(size, size),
    )
