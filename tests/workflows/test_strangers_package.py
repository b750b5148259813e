"""A package of somebody else, as docs/packages.md tells: built, installed, found, checked, run."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

from tests.workflows.elsewhere import Elsewhere

PAGE = (Path(__file__).parents[2] / "docs" / "packages.md").read_text()


def block(language: str) -> str:
    """Return the one block of a language on the page that tells how to write a package."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    place = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    (place.folder / "flow.json").write_text(block("json"))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    pillow.fromarray(pixels).save(place.folder / "photo.png")
    return place


@pytest.fixture(scope="module")
def installed(elsewhere: Elsewhere) -> Elsewhere:
    source = elsewhere.folder / "source"
    (source / "picture_frames").mkdir(parents=True)
    (source / "pyproject.toml").write_text(block("toml"))
    (source / "picture_frames" / "__init__.py").write_text(block("python"))
    elsewhere.install(source)
    return elsewhere


def test_where_it_is_not_installed_check_names_it(elsewhere: Elsewhere) -> None:
    said = elsewhere.call(sys.executable, "-m", "nodegraph.cli", "check", "flow.json", expect=2)
    assert "framed: " in said
    assert "'frames'" in said


def test_its_nodes_are_found(installed: Elsewhere) -> None:
    listed = installed.nodegraph("nodes")
    assert "frames.frame" in listed
    assert "Put a wooden frame around every picture." in listed
    assert "image.canny" in listed


def test_a_flow_with_its_nodes_and_ours_is_checked(installed: Elsewhere) -> None:
    installed.nodegraph("check", "flow.json")


def test_its_ranges_and_types_are_checked(installed: Elsewhere) -> None:
    said = installed.nodegraph("check", "flow.json", "--set", "framed.width=100", expect=2)
    assert "framed.width" in said
    assert "99" in said


def test_a_flow_with_its_nodes_and_ours_runs(installed: Elsewhere) -> None:
    installed.nodegraph("run", "flow.json", "--out", "result", "--quiet")
    with pillow.open(installed.folder / "result" / "image.png") as picture:
        framed = np.asarray(picture)
        record = json.loads(picture.info["nodegraph"])
    with pillow.open(installed.folder / "photo.png") as photo:
        np.testing.assert_array_equal(framed[3:-3, 3:-3], 255 - np.asarray(photo))
    assert (framed[0] == (255, 0, 0)).all()
    assert "picture-frames" in json.dumps(record)
