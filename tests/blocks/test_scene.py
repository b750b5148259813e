"""Scenes are data: drawn from seeds, frozen, mirrored, described and read back."""

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph_blocks.caption import caption, full_caption
from nodegraph_blocks.description import parse
from nodegraph_blocks.heldout import COUNT, FIRST_SEED, contradict, heldout_scenes
from nodegraph_blocks.scene import from_json, mirror, sample_scene, to_json

seeds = st.integers(0, 2_000_000)


def test_the_generator_still_yields_the_held_out_scenes() -> None:
    scenes = heldout_scenes()
    assert len(scenes) == COUNT
    assert scenes == [sample_scene(FIRST_SEED + index) for index in range(COUNT)]


def test_the_mix_of_counts_is_the_stated_one() -> None:
    counts = [len(sample_scene(seed).things) for seed in range(4000)]
    shares = [counts.count(count) / 4000 for count in (1, 2, 3)]
    assert shares == pytest.approx([0.5, 0.35, 0.15], abs=0.03)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_a_scene_survives_json(seed: int) -> None:
    scene = sample_scene(seed)
    assert from_json(to_json(scene)) == scene


@pytest.mark.parametrize("text", ["[]", "{}", '{"things": [{}]}', '{"things": 3}'])
def test_what_is_no_scene_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"give what blocks\.scene writes"):
        from_json(text)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_colours_of_a_scene_are_distinct(seed: int) -> None:
    things = sample_scene(seed).things
    assert len({thing.colour for thing in things}) == len(things)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_a_scene_mirrored_twice_is_itself(seed: int) -> None:
    scene = sample_scene(seed)
    assert mirror(mirror(scene)) == scene


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_mirroring_swaps_left_and_right_in_words(seed: int) -> None:
    scene = sample_scene(seed)
    if len(scene.things) == 3:
        return  # a row is named from left to right, so there its order is reversed instead
    swap = {"left": "right", "right": "left"}
    swapped = re.sub(r"\b(left|right)\b", lambda found: swap[found.group()], full_caption(scene))
    assert full_caption(mirror(scene)) == swapped


@given(seeds, seeds)
@settings(max_examples=100, deadline=None)
def test_a_caption_names_every_shape(seed: int, draw: int) -> None:
    scene = sample_scene(seed)
    words = caption(scene, random.Random(draw)).replace(",", "").split()
    words = [{"ball": "sphere", "box": "cube"}.get(word, word) for word in words]
    for thing in scene.things:
        assert thing.shape in words


def test_captions_differ_from_draw_to_draw_and_take_numpy_generators() -> None:
    rng = np.random.default_rng(0)
    assert len({caption(sample_scene(5), rng) for _ in range(50)}) > 10


def test_a_full_caption_says_everything() -> None:
    scene = parse("a red metal sphere left of a blue matt cube, at sunset, on a polished floor")
    expected = "a red metal sphere left of a blue matt cube, at sunset, on a polished floor"
    assert full_caption(scene) == expected


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_full_caption_is_read_back_as_a_scene_of_the_same_things(seed: int) -> None:
    text = full_caption(sample_scene(seed))
    again = full_caption(parse(text, seed + 1))
    assert sorted(_names(again)) == sorted(_names(text))


def _names(text: str) -> list[str]:
    return re.findall(r"\w+ \w+ (?:sphere|cube|cylinder|cone)", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a red dog", "'dog' is unknown"),
        ("at noon", "names 0 things"),
        ("a cube, a cube, a cube and a cube", "names 4 things"),
    ],
)
def test_what_cannot_be_drawn_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize("word", ["behind", "in front of", "left of", "right of"])
def test_a_relation_that_is_asked_for_is_kept(word: str) -> None:
    for seed in range(10):
        text = f"a red metal sphere {word} a blue matt cube"
        assert full_caption(parse(text, seed)).startswith(text)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_a_contradiction_keeps_places_and_changes_every_shape_and_colour(seed: int) -> None:
    scene = sample_scene(seed)
    for thing, other in zip(scene.things, contradict(scene).things, strict=True):
        assert (thing.x, thing.z, thing.size) == (other.x, other.z, other.size)
        assert thing.shape != other.shape
        assert thing.colour != other.colour
