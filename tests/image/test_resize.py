"""`image.resize`: what each fit and each interpolation does to known pictures."""

import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image as pillow

from nodegraph_image import Image, resize
from nodegraph_image.resizing import Interpolation

NOISE = np.random.default_rng(0).random((2, 24, 36, 3), np.float32)
HALVES = np.zeros((1, 4, 8, 3), np.float32)
HALVES[:, :, 4:] = 1


def test_stretch_gives_the_size_asked_for() -> None:
    assert resize(Image(NOISE), width=10, height=50).pixels.shape == (2, 50, 10, 3)


def test_the_same_size_changes_nothing() -> None:
    assert np.array_equal(resize(Image(NOISE), width=36, height=24).pixels, NOISE)


def test_area_halves_by_averaging_two_by_two() -> None:
    half = resize(Image(NOISE), width=18, height=12, interpolation="area").pixels
    np.testing.assert_allclose(half, NOISE.reshape(2, 12, 2, 18, 2, 3).mean((2, 4)), atol=1e-6)


def test_nearest_samples_where_pillow_does() -> None:
    ours = resize(Image(NOISE[:1]), width=50, height=17, interpolation="nearest").pixels[0]
    channel = pillow.fromarray(NOISE[0, ..., 0]).resize((50, 17), pillow.Resampling.NEAREST)
    np.testing.assert_array_equal(ours[..., 0], np.asarray(channel))


@pytest.mark.parametrize(
    ("name", "rule"),
    [("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC), ("lanczos", cv2.INTER_LANCZOS4)],
)
def test_named_rules_are_opencvs(name: Interpolation, rule: int) -> None:
    ours = resize(Image(NOISE[:1]), width=70, height=60, interpolation=name).pixels[0]
    np.testing.assert_array_equal(
        ours, np.clip(cv2.resize(NOISE[0], (70, 60), interpolation=rule), 0, 1)
    )


@pytest.mark.parametrize(("side", "rule"), [(12, "area"), (48, "lanczos")])
def test_auto_chooses_by_direction(side: int, rule: Interpolation) -> None:
    auto = resize(Image(NOISE), width=side, height=side).pixels
    told = resize(Image(NOISE), width=side, height=side, interpolation=rule).pixels
    np.testing.assert_array_equal(auto, told)


def test_crop_keeps_the_middle() -> None:
    cropped = resize(Image(HALVES), width=4, height=4, fit="crop").pixels
    np.testing.assert_array_equal(cropped, HALVES[:, :, 2:6])


def test_pad_keeps_everything_and_fills_the_rest() -> None:
    padded = resize(Image(HALVES), width=8, height=8, fit="pad", fill=0.5).pixels
    np.testing.assert_array_equal(padded[:, 2:6], HALVES)
    assert np.all(padded[:, :2] == 0.5)
    assert np.all(padded[:, 6:] == 0.5)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (3, 7), (100, 1), (1, 100), (33, 34)])
def test_every_size_is_met_exactly(fit: str, size: tuple[int, int]) -> None:
    resized = resize(Image(NOISE), width=size[0], height=size[1], fit=fit)  # type: ignore[arg-type]
    assert resized.pixels.shape == (2, size[1], size[0], 3)


def test_overshoot_is_clipped() -> None:
    big = resize(Image(HALVES), width=80, height=40, interpolation="lanczos").pixels
    assert big.min() == 0
    assert big.max() == 1


def test_a_long_strip_is_cut_before_it_is_scaled() -> None:
    strip = np.zeros((1, 100_000, 1, 3), np.float32)
    strip[:, 49_990:50_010] = 1
    tracemalloc.start()
    cropped = resize(Image(strip), width=64, height=64, fit="crop", interpolation="nearest")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.all(cropped.pixels == 1)
    assert most < 2**24


def test_a_size_that_could_not_be_read_again_is_refused() -> None:
    with pytest.raises(ValueError, match="resize: 16384 x 8192 is more than 67,108,864 pixels"):
        resize(Image(HALVES), width=16384, height=8192)
