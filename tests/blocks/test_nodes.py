"""The nodes of the blocks world, called as functions and from the shipped flows."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import nodegraph
from nodegraph import Context
from nodegraph_blocks import read_scene, scene
from nodegraph_blocks.annotator import load_annotator
from nodegraph_blocks.heldout import heldout_scenes
from nodegraph_blocks.judging import make_targets, score
from nodegraph_image import Image, load

FLOWS = Path(__file__).parents[2] / "workflows"


def test_a_scene_is_what_its_text_says() -> None:
    text = "a red metal sphere left of a blue matt cube, at night, on a tiled floor"
    made = scene(text=text, seed=4)
    assert made.caption == text
    assert {image.pixels.shape for image in made[:4] if isinstance(image, Image)} == {
        (1, 128, 128, 3)
    }


def test_a_scene_without_text_is_that_of_its_seed() -> None:
    assert scene(seed=3, size=32).caption == scene(seed=3, size=64).caption
    assert scene(seed=3).caption != scene(seed=4).caption


def test_normals_of_the_ground_point_up_and_those_of_the_sky_to_the_viewer() -> None:
    normals = scene(seed=1, size=64).normals.pixels[0]
    assert normals[0, 0] == pytest.approx([0.5, 0.5, 1.0], abs=1e-3)
    assert normals[-1, 0, 1] > 0.95


def test_segmentation_has_one_colour_for_sky_ground_and_each_thing() -> None:
    made = scene(text="a cube, a cone and a sphere", size=64)
    colours = np.unique(made.segmentation.pixels.reshape(-1, 3), axis=0)
    assert len(colours) == 5


def test_the_flow_scene_renders_the_picture_that_the_first_flow_follows() -> None:
    made = nodegraph.run(FLOWS / "scene.json")["scene"]
    shipped = load(FLOWS / "assets" / "scene.png").image
    # written as bytes: half a grey level, and rounding may differ between processors
    assert np.abs(made.pixels - shipped.pixels).max() <= 2.5 / 255


def test_the_flow_annotator_trains_and_reports(tmp_path: Path) -> None:
    outputs = nodegraph.run(
        FLOWS / "training" / "annotator.json",
        data=str(tmp_path / "data"),
        run=str(tmp_path / "run"),
        file=str(tmp_path / "judge.safetensors"),
        scenes=4,
        steps=1,
        settings={"train.batch": 2, "train.count": 4, "data.processes": 1},
    )
    assert 0 <= outputs["report"].rows["true render"]["shape"] <= 1
    assert load_annotator(tmp_path / "judge.safetensors")


def test_the_shipped_judge_reads_true_renders() -> None:
    path = Path(str(files("nodegraph_blocks") / "models" / "blocks-annotator.safetensors"))
    scenes = heldout_scenes()[:100]
    targets = make_targets(scenes, Context())
    scores = score(load_annotator(path), targets.pictures, targets, scenes)
    assert scores["shape"] >= 0.97
    assert scores["colour"] >= 0.98
    assert scores["count"] >= 0.97
    assert scores["depth_error_on_things"] < 0.03


def test_the_shipped_judge_says_what_it_sees() -> None:
    made = scene(text="a red metal sphere left of a blue matt cube, at noon", seed=2)
    (line,) = read_scene(made.image)
    assert sorted(line.split(", ")) == ["a blue cube", "a red sphere"]
