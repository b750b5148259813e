"""`Image` and `Mask`: what they accept, and that nobody can change them."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pillow

from nodegraph_image import Image, Mask
from nodegraph_image.picture import ImageCodec, MaskCodec, from_bytes, quantise


def noise(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, np.float32)


def test_pixels_are_read_only() -> None:
    image = Image(noise(1, 4, 5, 3))
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        image.pixels = noise(1, 4, 5, 3)  # type: ignore[misc]


def test_an_image_does_not_follow_the_array_it_came_from() -> None:
    pixels = noise(1, 4, 5, 3)
    image = Image(pixels)
    pixels[:] = 0
    assert image.pixels.max() > 0


def test_a_read_only_array_is_not_copied() -> None:
    first = Image(noise(1, 4, 5, 3))
    assert Image(first.pixels).pixels is first.pixels


def test_other_number_types_become_float32() -> None:
    assert Image(np.zeros((1, 2, 2, 3))).pixels.dtype == np.float32  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 4, 5, 4), (1, 4, 5), (1, 1, 4, 5, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image: the shape is .* it has to be \(B, H, W, 3\)"):
        Image(noise(*shape))


def test_empty_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="no side may be 0"):
        Image(noise(1, 0, 5, 3))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_values_outside_the_range_are_refused(value: float) -> None:
    pixels = noise(1, 4, 5, 3)
    pixels[0, 1, 2, 0] = value
    with pytest.raises(ValueError, match="they have to be in 0"):
        Image(pixels)


def test_mask_has_three_sides() -> None:
    assert Mask(noise(2, 4, 5)).values.shape == (2, 4, 5)
    with pytest.raises(ValueError, match=r"it has to be \(B, H, W\)"):
        Mask(noise(2, 4, 5, 1))


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantise(from_bytes(every)), every)


@given(st.floats(0, 1, width=32))
def test_quantising_rounds_to_the_nearest_byte(value: float) -> None:
    byte = int(quantise(np.array([value], np.float32))[0])
    assert abs(byte - value * 255) <= 0.5 + 1e-4


def test_dump_and_restore_give_the_same_values(tmp_path: Path) -> None:
    image, mask = Image(noise(2, 4, 5, 3)), Mask(noise(2, 4, 5))
    ImageCodec.dump(image, tmp_path)
    MaskCodec.dump(mask, tmp_path)
    np.testing.assert_array_equal(ImageCodec.restore(tmp_path).pixels, image.pixels)
    np.testing.assert_array_equal(MaskCodec.restore(tmp_path).values, mask.values)


def test_digest_tells_content_and_shape_apart() -> None:
    flat = np.zeros((1, 2, 6, 3), np.float32)
    digests = {ImageCodec.digest(Image(x)) for x in (flat, flat.reshape(1, 6, 2, 3), flat + 1)}
    assert len(digests) == 3
    assert ImageCodec.digest(Image(flat)) == ImageCodec.digest(Image(flat.copy()))


def test_size_and_description() -> None:
    image = Image(noise(2, 4, 5, 3))
    assert ImageCodec.size(image) == 2 * 4 * 5 * 3 * 4
    assert ImageCodec.describe(image) == "2 x 4 x 5"


def test_mask_is_read_from_brightness(tmp_path: Path) -> None:
    pillow.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(MaskCodec.read(tmp_path / "m.png").values, [[[0, 1]]])
