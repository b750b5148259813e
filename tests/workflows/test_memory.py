"""Nothing of a run stays behind: controlled runs in one process, tensors and memory watched."""

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nodegraph

CANNY = Path(__file__).parents[2] / "workflows" / "canny.json"
WARM = 5
"""Runs after which all is there that stays: models, threads, what libraries keep."""


def small() -> dict[str, Any]:
    """The flow of the README, one step and 64 pixels wide; the picture and its latent come out."""
    flow: dict[str, Any] = json.loads(CANNY.read_text())
    flow["inputs"]["photo"]["default"] = str(CANNY.with_name("assets") / "scene.png")
    flow["nodes"]["small"] = {
        "type": "image.resize",
        "inputs": {"image": {"ref": "inputs.photo"}, "width": 64, "height": 64},
    }
    flow["nodes"]["edges"]["inputs"]["image"] = {"ref": "small"}
    flow["nodes"]["noise"]["inputs"] = {"width": 64, "height": 64}
    flow["nodes"]["sample"]["inputs"]["steps"] = 1
    flow["outputs"]["latent"] = {"ref": "sample"}
    return flow


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def tensors() -> tuple[int, int]:
    """Count live tensors and arrays, and their bytes."""
    gc.collect()
    live = [each for each in gc.get_objects() if type(each) in (torch.Tensor, torch.nn.Parameter)]
    arrays = [each for each in gc.get_objects() if type(each) is np.ndarray]
    return len(live) + len(arrays), sum(each.nbytes for each in (*live, *arrays))


def watch(runs: int, **settings: Any) -> tuple[list[tuple[int, int]], list[int]]:
    """Run so often; return what was alive after each tenth run, and the memory."""
    counted: list[tuple[int, int]] = []
    held: list[int] = []
    for number in range(WARM + runs):
        nodegraph.run(small(), seed=number, allow=[CANNY.parent], **settings)
        if number >= WARM and number % 10 == WARM % 10:
            counted.append(tensors())
            held.append(resident())
    return counted, held


@pytest.mark.parametrize(
    "runs", [pytest.param(20, id="20"), pytest.param(200, id="200", marks=pytest.mark.slow)]
)
def test_nothing_stays_of_a_run(runs: int, tmp_path: Path) -> None:
    out: dict[str, Any] = {"out": tmp_path / "out", "store": False}
    counted, held = watch(runs, **out)
    assert len(set(counted)) == 1, counted
    assert held[-1] - held[0] < 2**24, held
    kept = nodegraph.run(small(), allow=[CANNY.parent], **out)  # the scales do tell
    assert tensors() > counted[-1]
    del kept
    assert tensors() == counted[-1]
