"""`image.canny` and `image.invert`."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nodegraph_image import Image, canny, invert
from nodegraph_image.picture import from_bytes, quantise

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def blobs(seed: int) -> Bytes:
    noise = np.random.default_rng(seed).random((64, 80, 3), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = smooth.min(), smooth.max()
    return quantise((smooth - low) / (high - low))


@pytest.mark.parametrize(("low", "high"), [(100, 200), (20, 60), (0, 0), (200, 100), (255, 255)])
def test_canny_is_opencvs_bit_for_bit(low: int, high: int) -> None:
    pictures = np.stack([blobs(0), blobs(1)])
    edges = canny(Image(from_bytes(pictures)), low=low, high=high).pixels
    for ours, picture in zip(edges, pictures, strict=True):
        expected = cv2.Canny(picture, low, high)
        np.testing.assert_array_equal(ours, np.dstack([expected] * 3) / np.float32(255))


@settings(max_examples=25)
@given(arrays.arrays(np.float32, (1, 9, 11, 3), elements=st.floats(0, 1, width=32)))
def test_canny_rounds_before_it_looks(
    pixels: Floats,
) -> None:
    rounded = np.rint(pixels[0] * np.float32(255)).astype(np.uint8)
    edges = canny(Image(pixels)).pixels[0, ..., 0]
    np.testing.assert_array_equal(edges * 255, cv2.Canny(rounded, 100, 200))


def test_canny_sees_an_edge_of_colour_alone() -> None:
    pixels = np.zeros((1, 16, 16, 3), np.float32)
    pixels[:, :, :8, 1] = 0.5
    pixels[:, :, 8:, 0] = 0.5 * 0.587 / 0.299  # the grey value of the left half (Rec. 601)
    assert canny(Image(pixels)).pixels.max() == 1


def test_canny_finds_edges_in_the_default_thresholds() -> None:
    pixels = np.zeros((1, 16, 16, 3), np.float32)
    pixels[:, 4:12, 4:12] = 1
    edges = canny(Image(pixels)).pixels
    assert 20 < edges[..., 0].sum() < 40
    assert set(np.unique(edges)) == {0, 1}


def test_invert_turns_every_byte_around() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    inverted = invert(Image(from_bytes(every))).pixels
    np.testing.assert_array_equal(quantise(inverted), 255 - every)
