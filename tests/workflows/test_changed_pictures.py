"""Flows that change a picture: what has to stay stays, what has to change changes."""

import json
from pathlib import Path

import numpy as np
from PIL import Image as pillow

import nodegraph
from nodegraph_blocks import scene
from nodegraph_image import Image, Mask, canny, load
from tests.workflows.pictures import FLOWS, agreement, picture

SCENE = load(FLOWS / "assets" / "scene.png").image


def difference(one: Image, two: Image) -> float:
    """The mean absolute difference of two pictures."""
    return float(np.abs(one.pixels - two.pixels).mean())


def test_image_to_image_keeps_more_with_less_noise() -> None:
    little, much = (picture("image_to_image", denoise=share) for share in (0.3, 0.9))
    assert difference(little, SCENE) < 0.05 < difference(much, SCENE)


def test_inpainting_leaves_the_outside_as_it_is() -> None:
    done = picture("inpaint", steps=8)
    mask = load(FLOWS / "assets" / "scene_mask.png").image.pixels[0, :, :, 0]
    changed = np.abs(done.pixels - SCENE.pixels)[0].mean(axis=2)
    rows, columns = np.nonzero(mask > 0.5)
    near = np.zeros_like(mask, bool)
    top, left = max(0, rows.min() - 8), max(0, columns.min() - 8)
    near[top : rows.max() + 9, left : columns.max() + 9] = True
    assert changed[~near].max() == 0
    assert changed[mask > 0.5].mean() > 0.05


def test_hires_paints_the_small_picture_larger() -> None:
    outputs = nodegraph.run(FLOWS / "hires.json", steps=10)
    small, large = outputs["small"], outputs["image"]
    assert small.pixels.shape[1:3] == (128, 128)
    assert large.pixels.shape[1:3] == (192, 192)
    down = large.pixels[0].reshape(64, 3, 64, 3, 3).mean(axis=(1, 3))
    other = small.pixels[0].reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(down - other).mean() < 0.12


def test_a_depth_map_is_followed() -> None:
    outputs = nodegraph.run(FLOWS / "depth.json", steps=10)
    edges = canny(outputs["scene"])
    free = nodegraph.run(FLOWS / "depth.json", steps=10, settings={"guided.strength": 0.0})
    assert agreement(outputs["image"], edges) > agreement(free["image"], edges) + 0.1


def halves(image: Image, edges: Image) -> list[float]:
    """How well the left and the right half of a picture follow edges."""
    parts = (slice(0, 64), slice(64, 128))
    return [agreement(*(Image(x.pixels[:, :, part]) for x in (image, edges))) for part in parts]


def test_each_region_follows_its_own_control() -> None:
    edges = canny(scene(seed=1000003).image)
    west, east = halves(picture("regions", steps=10), edges)
    without_canny = halves(picture("regions", {"drawn.strength": 0.0}, steps=10), edges)
    without_depth = halves(picture("regions", {"shaped.strength": 0.0}, steps=10), edges)
    assert west > without_canny[0] + 0.2
    assert abs(east - without_canny[1]) < 0.1
    assert east > without_depth[1] + 0.2
    assert abs(west - without_depth[0]) < 0.1


def test_the_journal_and_the_pictures_say_where_each_control_acted(tmp_path: Path) -> None:
    nodegraph.run(FLOWS / "regions.json", steps=4, settings={"shaped.end": 0.5}, out=tmp_path)
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    (told,) = (e for e in map(json.loads, lines) if e["event"] == "note")
    assert [control["steps"] for control in told["value"]] == [[0, 1, 2, 3], [0, 1]]
    with pillow.open(tmp_path / "image.png") as written:
        record = json.loads(written.info["nodegraph"])
    assert record["notes"] == {"sample": {"controls": told["value"]}}


def test_a_mask_can_be_declared() -> None:
    black = Mask(np.zeros((1, 128, 128), np.float32))
    assert difference(picture("inpaint", steps=4, mask=black), SCENE) == 0
