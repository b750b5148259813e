"""A package of somebody else, written out of docs/nodes.md: built, installed, tried, run."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow
from safetensors.numpy import save_file

from tests.workflows.elsewhere import Elsewhere

PAGE = (Path(__file__).parents[2] / "docs" / "nodes.md").read_text()
FILES = dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    place = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    for path, text in FILES.items():
        (place.folder / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (place.folder / "source" / path).write_text(text)
    (place.folder / "flow.json").write_text(FILES["flow.json"])
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    pillow.fromarray(pixels).save(place.folder / "photo.png")
    planks = {"red": np.ones(3, np.float32)}
    save_file(planks, place.folder / "old.safetensors", metadata={"kind": "planks"})
    control = {"controlnet_down_blocks.0.weight": np.ones((1, 1), np.float32)}
    save_file(control, place.folder / "control.safetensors")
    return place


@pytest.fixture(scope="module")
def installed(elsewhere: Elsewhere) -> Elsewhere:
    elsewhere.install(elsewhere.folder / "source")
    return elsewhere


def test_where_it_is_not_installed_check_names_it(elsewhere: Elsewhere) -> None:
    said = elsewhere.call(sys.executable, "-m", "nodegraph.cli", "check", "flow.json", expect=2)
    assert "pip install 'picture-frames>=2'" in said
    assert "framed: " in said
    assert "'frames'" in said


def test_its_own_tests_pass_and_its_nodes_are_tried(installed: Elsewhere) -> None:
    said = installed.call(str(installed.python), "-m", "pytest", "-v", within="source")
    assert "tests/test_frames.py::test_it_tells_how_far_it_is_and_can_be_stopped PASSED" in said
    assert "nodegraph:frames::frame: called at the edges of its ranges PASSED" in said
    assert "nodegraph:frames::load_planks: called at the edges of its ranges SKIPPED" in said
    assert "15 passed, 1 skipped" in said
    assert "ok  frames.oak" in installed.nodegraph("test-package", "frames")


def test_its_nodes_are_found(installed: Elsewhere) -> None:
    listed = installed.nodegraph("nodes")
    assert "frames.frame" in listed
    assert "Put a wooden frame around every picture." in listed
    assert "image.canny" in listed


def test_a_flow_with_its_nodes_and_ours_is_checked(installed: Elsewhere) -> None:
    installed.nodegraph("check", "flow.json")


def test_its_ranges_types_versions_and_models_are_checked(installed: Elsewhere) -> None:
    said = installed.nodegraph("check", "flow.json", "--set", "framed.width=100", expect=2)
    assert "framed.width" in said
    assert "99" in said
    said = installed.nodegraph("check", "flow.json", "--set", "wood.file=control", expect=2)
    assert "holds a controlnet" in said
    old = installed.folder / "older.json"
    old.write_text(FILES["flow.json"].replace("frames.frame@2", "frames.frame@1"))
    assert "version 1 of 'frames.frame' is not installed" in installed.nodegraph(
        "check", "older.json", expect=2
    )


def test_a_flow_with_its_nodes_and_ours_runs(installed: Elsewhere) -> None:
    installed.nodegraph("run", "flow.json", "--out", "result", "--quiet")
    with pillow.open(installed.folder / "result" / "image.png") as picture:
        framed = np.asarray(picture)
        record = json.loads(picture.info["nodegraph"])
    with pillow.open(installed.folder / "photo.png") as photo:
        np.testing.assert_array_equal(framed[3:-3, 3:-3], 255 - np.asarray(photo))
    assert (framed[0] == (255, 0, 0)).all()
    assert "picture-frames" in json.dumps(record)
