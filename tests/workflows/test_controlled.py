"""`canny.json` and `multi_controlnet.json` on the embedded model: pictures follow their hints."""

import numpy as np
import pytest

import nodegraph
from tests.workflows.pictures import FLOWS, agreement, picture


@pytest.fixture(scope="module")
def guided() -> nodegraph.Outputs:
    return nodegraph.run(FLOWS / "canny.json")


def test_canny_follows_the_edges_of_the_photo(guided: nodegraph.Outputs) -> None:
    free = picture("canny", {"guided.strength": 0.0})
    with_control = agreement(guided["image"], guided["edges"])
    assert with_control > 0.5
    assert with_control > agreement(free, guided["edges"]) + 0.1


def test_canny_keeps_the_edges_when_the_prompt_changes(guided: nodegraph.Outputs) -> None:
    other = picture("canny", prompt="a green glossy sphere left of an orange cube, at night")
    assert np.abs(other.pixels - guided["image"].pixels).mean() > 0.05
    assert agreement(other, guided["edges"]) > 0.5


def test_multi_controlnet_listens_to_both_hints() -> None:
    both = picture("multi_controlnet")
    for one in (
        picture("multi_controlnet", depth_strength=0.0),
        picture("multi_controlnet", edge_strength=0.0),
    ):
        assert np.abs(both.pixels - one.pixels).mean() > 0.005
