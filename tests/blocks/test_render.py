"""Renders against geometry that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from nodegraph_blocks.render import CAMERA_DISTANCE, HINT_FAR, HINT_NEAR, depth_hint, render
from nodegraph_blocks.scene import SHAPES, Scene, Shape, Thing, mirror, sample_scene
from nodegraph_blocks.solids import FIRST_THING, GROUND, SKY, extents, trace


def alone(shape: Shape) -> Scene:
    thing = Thing(shape, "red", "matt", 0.0, 0.0, 1.6, 0.5)
    scene = replace(sample_scene(0), things=(thing,))
    return replace(scene, floor="plain", time="noon", camera_height=1.7)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_ray_from_the_side_meets_a_thing_at_its_radius(shape: Shape) -> None:
    thing = Thing(shape, "red", "matt", 0.3, -0.2, 1.5, 0.0)
    radius, height = extents(thing)
    y = height / 2
    reach = radius / 2 if shape == "cone" else radius
    origin = np.array([[0.3], [y], [-6.0]], np.float32)
    hits = trace([thing], origin, np.array([[0.0], [0.0], [1.0]], np.float32))
    assert hits.t[0] == pytest.approx(6 - 0.2 - reach, abs=1e-4)
    assert hits.label[0] == FIRST_THING
    assert np.linalg.norm(hits.normal[:, 0]) == pytest.approx(1, abs=1e-5)
    assert hits.normal[2, 0] < -0.5


@pytest.mark.parametrize(("shape", "top"), [("cube", 0.82), ("cylinder", 1.0), ("sphere", 1.0)])
def test_a_ray_from_above_meets_a_thing_at_its_height(shape: Shape, top: float) -> None:
    thing = Thing(shape, "red", "matt", 0.0, 0.0, 1.0, 0.4)
    origin = np.array([[0.01], [5.0], [0.01]], np.float32)
    hits = trace([thing], origin, np.array([[0.0], [-1.0], [0.0]], np.float32))
    assert hits.t[0] == pytest.approx(5 - top, abs=1e-3)
    assert hits.normal[1, 0] == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_rays_that_pass_beside_meet_the_sky(shape: Shape) -> None:
    thing = Thing(shape, "red", "matt", 0.0, 0.0, 1.0, 0.0)
    origin = np.array([[3.0], [0.5], [-6.0]], np.float32)
    hits = trace([thing], origin, np.array([[0.0], [0.0], [1.0]], np.float32))
    assert hits.label[0] == SKY


def test_depth_of_the_ground_is_that_of_the_plane() -> None:
    scene = alone("sphere")
    rendering = render(scene, 64)
    column = rendering.depth[:, 2]
    ground = rendering.segmentation[:, 2] == GROUND
    # of four samples the nearest is kept: a quarter of a pixel below the middle
    rows = np.flatnonzero(ground)
    tilt = np.arctan2(1.7 - 0.72, CAMERA_DISTANCE)
    slope = (rows + 0.75 - 32) * (2 * 0.31 / 64)
    expected = 1.7 / (np.sin(tilt) + slope * np.cos(tilt))
    assert column[rows] == pytest.approx(expected, rel=1e-3)


def test_the_sky_is_infinitely_far_and_has_no_normal() -> None:
    rendering = render(sample_scene(1), 32)
    sky = rendering.segmentation == SKY
    assert sky.any()
    assert np.isinf(rendering.depth[sky]).all()
    assert not rendering.normals[sky].any()
    assert np.isfinite(rendering.depth[~sky]).all()


def test_normals_have_unit_length_and_face_the_camera_on_things() -> None:
    rendering = render(alone("sphere"), 64)
    thing = rendering.segmentation >= FIRST_THING
    normals = rendering.normals[thing]
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-4)
    assert (normals[:, 2] > -0.2).all()


def test_a_depth_hint_is_white_near_and_black_far() -> None:
    depth = np.array([[HINT_NEAR, HINT_FAR, np.inf, 5.0]], np.float32)
    hint = depth_hint(depth)[0]
    assert hint[:3].tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    expected = (1 / 5 - 1 / HINT_FAR) / (1 / HINT_NEAR - 1 / HINT_FAR)
    assert hint[3] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", [0, 2, 7, 11])
def test_a_mirrored_scene_gives_the_mirrored_picture(seed: int) -> None:
    scene = sample_scene(seed)
    there, back = render(scene, 64), render(mirror(scene), 64)
    # the four sun samples lie a little differently: only penumbras may differ
    assert np.abs(there.picture[:, ::-1] - back.picture).mean() < 0.003
    assert (there.segmentation[:, ::-1] == back.segmentation).mean() > 0.995


def test_pictures_stay_what_the_models_were_trained_on() -> None:
    pictures = np.stack([render(sample_scene(seed), 32).picture for seed in (3, 4, 5)])
    # to a tenth of a grey level: rounding may differ between processors
    assert pictures.mean(axis=(1, 2, 3)) == pytest.approx([0.4855, 0.2722, 0.5814], abs=4e-4)


def test_a_red_thing_is_red() -> None:
    rendering = render(alone("sphere"), 64)
    red, green, blue = rendering.picture[rendering.segmentation == FIRST_THING].mean(0)
    assert red > 2 * green
    assert red > 2 * blue


def test_a_thing_casts_a_shadow_on_the_side_away_from_the_light() -> None:
    scene = replace(alone("cylinder"), azimuth=1.2, elevation=0.6)
    rendering = render(scene, 64)
    without = render(replace(scene, things=()), 64)
    darker = (without.picture - rendering.picture).mean(axis=2) > 0.08
    darker &= rendering.segmentation == GROUND
    columns = np.flatnonzero(darker.any(axis=0))
    assert columns.min() < 20
    assert columns.max() < 44
