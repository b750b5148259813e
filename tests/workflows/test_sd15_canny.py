"""`sd15_canny.json`, the flow for real files, on files that have all but the training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nodegraph
from tests.workflows.sd15_files import (
    checkpoint_shapes,
    controlnet_shapes,
    write_random,
    write_sparse,
)

FLOW = Path(__file__).parents[2] / "workflows" / "sd15_canny.json"


def test_check_accepts_files_of_stable_diffusion_1_5(tmp_path: Path) -> None:
    write_sparse(tmp_path / "v1-5-pruned-emaonly.safetensors", checkpoint_shapes())
    write_sparse(tmp_path / "control_v11p_sd15_canny.safetensors", controlnet_shapes())
    assert nodegraph.check(FLOW, models=[tmp_path]) == ()


def test_check_says_which_files_are_missing(tmp_path: Path) -> None:
    messages = [str(problem) for problem in nodegraph.check(FLOW, models=[tmp_path])]
    assert any("v1-5-pruned-emaonly" in message for message in messages)
    assert any("control_v11p_sd15_canny" in message for message in messages)


@pytest.mark.slow
def test_it_runs_with_full_size_random_weights(tmp_path: Path) -> None:
    write_random(tmp_path / "v1-5-pruned-emaonly.safetensors", checkpoint_shapes(), seed=0)
    write_random(tmp_path / "control_v11p_sd15_canny.safetensors", controlnet_shapes(), seed=1)
    small: dict[str, Any] = {
        "width": 128,
        "height": 128,
        "steps": 2,
        "models": [tmp_path],
        "dtype": "bfloat16",
    }
    guided = nodegraph.run(FLOW, out=tmp_path / "a", **small)["image"]
    free = nodegraph.run(FLOW, out=tmp_path / "b", strength=0.0, **small)["image"]
    assert guided.pixels.shape == (1, 128, 128, 3)
    assert not np.array_equal(guided.pixels, free.pixels)
