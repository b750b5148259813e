"""`text_to_image.json` on the embedded model."""

import numpy as np

from tests.workflows.pictures import picture


def test_it_repeats_bit_by_bit_and_follows_the_seed() -> None:
    first, again = picture("text_to_image", seed=1), picture("text_to_image", seed=1)
    other = picture("text_to_image", seed=2)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert np.abs(first.pixels - other.pixels).mean() > 0.01


def test_it_makes_a_batch() -> None:
    assert len(picture("text_to_image", batch=2, steps=4).pixels) == 2


def test_the_prompt_names_the_colour() -> None:
    middle = {
        colour: picture("text_to_image", prompt=f"a {colour} sphere, at noon", steps=10).pixels[
            0, 48:96, 32:96
        ]
        for colour in ("red", "blue")
    }
    redness = {name: (x[..., 0] - x[..., 2]).mean() for name, x in middle.items()}
    assert redness["red"] > redness["blue"] + 0.2


def test_the_negative_prompt_matters() -> None:
    plain = picture("text_to_image", steps=4)
    other = picture("text_to_image", steps=4, negative="a red glossy sphere, at sunset")
    assert np.abs(plain.pixels - other.pixels).mean() > 0.01
