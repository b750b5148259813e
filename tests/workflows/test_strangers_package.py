"""A package of somebody else: a wheel that is installed, found, checked and run."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image as pillow

PROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "picture-frames"
    version = "2.1"
    dependencies = ["nodegraph>=0.1"]

    [project.entry-points."nodegraph.nodes"]
    frames = "picture_frames"
"""

PACKAGE = '''
    """Frames around pictures, by a stranger."""

    from dataclasses import dataclass
    from typing import Annotated

    import numpy as np
    from pydantic import Field

    from nodegraph import node, port
    from nodegraph_image import Image


    @port
    @dataclass(frozen=True)
    class Wood:
        """What a frame is made of."""

        red: float


    @node
    def oak(*, red: Annotated[float, Field(ge=0, le=1)] = 0.5) -> Wood:
        """Choose oak."""
        return Wood(red)


    @node
    def frame(image: Image, wood: Wood, *, width: Annotated[int, Field(ge=1, le=99)] = 2) -> Image:
        """Put a wooden frame around every picture."""
        sides = ((0, 0), (width, width), (width, width), (0, 0))
        pixels = np.pad(image.pixels, sides)
        inside = np.pad(np.ones_like(image.pixels), sides)
        return Image(np.where(inside == 1, pixels, np.float32([wood.red, 0, 0])))
'''

FLOW = {
    "nodegraph": 1,
    "inputs": {"photo": {"type": "image", "default": "photo.png"}},
    "nodes": {
        "negative": {"type": "image.invert", "inputs": {"image": {"ref": "inputs.photo"}}},
        "wood": {"type": "frames.oak", "inputs": {"red": 1.0}},
        "framed": {
            "type": "frames.frame",
            "inputs": {"image": {"ref": "negative"}, "wood": {"ref": "wood"}, "width": 3},
        },
    },
    "outputs": {"image": {"ref": "framed"}},
}


class Elsewhere:
    """A folder and a virtual environment of a user; the environment sees this one's libraries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.call(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
        site = next((folder / "venv").glob("lib/python*/site-packages"))
        ours = sysconfig.get_path("purelib")
        # addsitedir also reads .pth files there, by which an editable installation is found.
        (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    def call(self, *words: str, expect: int = 0) -> str:
        """Run a command there and return what it said."""
        environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(self.folder / "cache")}
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def nodegraph(self, *words: str, expect: int = 0) -> str:
        """Run our command line in that environment."""
        return self.call(str(self.python), "-m", "nodegraph.cli", *words, expect=expect)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    place = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    (place.folder / "flow.json").write_text(json.dumps(FLOW))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    pillow.fromarray(pixels).save(place.folder / "photo.png")
    return place


@pytest.fixture(scope="module")
def installed(elsewhere: Elsewhere) -> Elsewhere:
    source = elsewhere.folder / "source"
    (source / "picture_frames").mkdir(parents=True)
    (source / "pyproject.toml").write_text(dedent(PROJECT))
    (source / "picture_frames" / "__init__.py").write_text(dedent(PACKAGE))
    wheels = str(elsewhere.folder / "wheels")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index")
    elsewhere.call(*pip, "wheel", "-q", *offline, "--no-build-isolation", "-w", wheels, str(source))
    (wheel,) = Path(wheels).iterdir()
    elsewhere.call(*pip, "--python", str(elsewhere.python), "install", "-q", *offline, str(wheel))
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
