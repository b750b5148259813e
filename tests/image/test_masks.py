"""Masks, and pictures put together, cut and padded."""

import numpy as np
import pytest

from nodegraph_image import (
    Image,
    Mask,
    batch,
    composite,
    crop,
    erase,
    flip,
    image_from_mask,
    mask_blur,
    mask_combine,
    mask_from_image,
    mask_grow,
    mask_invert,
    mask_resize,
    mask_shape,
    pad,
    pick,
    rotate,
    unbatch,
)


def plain(value: float, height: int = 4, width: int = 6, count: int = 1) -> Image:
    """Pictures of one grey."""
    return Image(np.full((count, height, width, 3), value, np.float32))


def left_half(height: int = 4, width: int = 6) -> Mask:
    """A mask of the left half."""
    return mask_shape(width=width, height=height, left=0, top=0, right=0.5, bottom=1)


def test_a_rectangle_holds_the_pixels_between_its_sides() -> None:
    assert left_half().values[0].tolist() == [[1, 1, 1, 0, 0, 0]] * 4


def test_an_ellipse_holds_pi_quarters_of_its_rectangle() -> None:
    inside = mask_shape(width=200, height=100, shape="ellipse").values
    assert abs(inside.mean() - np.pi / 16) < 0.002


def test_a_mask_without_inside_is_refused() -> None:
    with pytest.raises(ValueError, match="it is empty"):
        mask_shape(width=8, height=8, left=0.5, right=0.5)


def test_masks_come_from_channels_and_go_to_greys() -> None:
    pixels = np.zeros((1, 1, 2, 3), np.float32)
    pixels[0, 0, 1] = [0.9, 0, 0]
    image = Image(pixels)
    assert mask_from_image(image, channel="red").values.tolist() == [[[0, np.float32(0.9)]]]
    assert mask_from_image(image, above=0.2).values.tolist() == [[[0, 1]]]
    assert mask_from_image(image_from_mask(left_half())).values == pytest.approx(left_half().values)


def test_masks_are_combined_as_sets_are() -> None:
    top = mask_shape(width=6, height=4, left=0, top=0, right=1, bottom=0.5)
    counts = {
        how: mask_combine(left_half(), top, how=how).values.sum()
        for how in ("union", "intersection", "difference")
    }
    assert counts == {"union": 18, "intersection": 6, "difference": 6}
    assert mask_invert(left_half()).values.sum() == 12


def test_a_mask_grows_shrinks_and_softens() -> None:
    dot = np.zeros((1, 9, 9), np.float32)
    dot[0, 4, 4] = 1
    grown = mask_grow(Mask(dot), pixels=2)
    assert grown.values[0, 4].tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    assert mask_grow(grown, pixels=-2).values.sum() >= 1
    assert mask_grow(grown, pixels=0) is grown
    assert 0 < mask_blur(Mask(dot), sigma=1).values[0, 4, 4] < 0.2


def test_a_composite_shows_each_where_the_mask_says() -> None:
    done = composite(plain(0.25), plain(0.75, count=2), left_half())
    assert done.pixels[:, 0, :, 0].tolist() == [[0.75] * 3 + [0.25] * 3] * 2


@pytest.mark.parametrize(
    ("above", "mask", "said"),
    [
        (plain(1, 4, 5), left_half(), "sizes 6 x 4 and 5 x 4 and 6 x 4 differ"),
        (plain(1), left_half(4, 8), "sizes 6 x 4 and 6 x 4 and 8 x 4 differ"),
        (plain(1, count=3), left_half(), "batches of 2 and 3 and 1"),
    ],
)
def test_what_does_not_match_is_refused_in_words(above: Image, mask: Mask, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        composite(plain(0, count=2), above, mask)


def test_erasing_paints_the_inside() -> None:
    done = erase(plain(0.25), left_half(), grey=1)
    assert done.pixels[0, 0, :, 0].tolist() == [1, 1, 1, 0.25, 0.25, 0.25]


def test_padding_says_what_is_new() -> None:
    done = pad(plain(0.25), left=2, bottom=1, fill="grey", grey=1, overlap=1)
    assert done.image.pixels.shape == (1, 5, 8, 3)
    assert done.image.pixels[0, 0, :, 0].tolist() == [1, 1] + [0.25] * 6
    assert done.mask.values[0].tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]] * 3 + [[1] * 8] * 2


@pytest.mark.parametrize("fill", ["edge", "reflect"])
def test_padding_goes_on_with_the_picture(fill: str) -> None:
    ramp = np.linspace(0, 1, 5, dtype=np.float32)
    image = Image(np.ascontiguousarray(np.broadcast_to(ramp[None, None, :, None], (1, 3, 5, 3))))
    row = pad(image, right=2, fill=fill).image.pixels[0, 0, 5:, 0].tolist()  # type: ignore[arg-type]
    assert row == ([1, 1] if fill == "edge" else [0.75, 0.5])


def test_a_mirror_image_is_no_larger_than_the_picture() -> None:
    with pytest.raises(ValueError, match="use fill 'edge'"):
        pad(plain(0), left=6, fill="reflect")


def test_a_cut_lies_in_the_picture() -> None:
    image = Image(np.random.default_rng(0).uniform(size=(2, 4, 6, 3)).astype(np.float32))
    assert np.array_equal(
        crop(image, left=1, top=2, width=3, height=2).pixels, image.pixels[:, 2:4, 1:4]
    )
    with pytest.raises(ValueError, match="6 x 4 at 1, 0 leaves a picture of 6 x 4"):
        crop(image, left=1, width=6, height=4)
    assert np.array_equal(flip(flip(image)).pixels, image.pixels)
    assert np.array_equal(flip(image, how="top_bottom").pixels, image.pixels[:, ::-1])


def test_a_batch_is_made_and_parted() -> None:
    both = batch([plain(0.25), plain(0.75)])
    assert pick(both, number=2).pixels.mean() == 0.75
    with pytest.raises(ValueError, match="number 3 of a batch of 2"):
        pick(both, number=3)
    with pytest.raises(ValueError, match="6 x 4 and 4 x 6"):
        batch([plain(0, 6, 4), plain(0, 4, 6)])


def test_a_mask_takes_another_size_and_keeps_its_values() -> None:
    doubled = mask_resize(left_half(), width=12, height=8, interpolation="nearest")
    assert doubled.values[0].tolist() == [[1] * 6 + [0] * 6] * 8
    halved = mask_resize(left_half(), width=3, height=2)
    assert halved.values[0].tolist() == [[1, 0.5, 0]] * 2
    padded = mask_resize(left_half(), width=6, height=6, fit="pad", fill=1)
    assert padded.values[0, :, 5].tolist() == [1, 0, 0, 0, 0, 1]


def test_a_mask_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="mask_resize: 16384 x 16384 is more than 67,108,864"):
        mask_resize(left_half(), width=16384, height=16384)


def test_a_batch_is_taken_apart_and_put_together_again() -> None:
    both = batch([plain(0.25), plain(0.5)])
    apart = unbatch(both)
    assert [each.pixels.shape[0] for each in apart] == [1, 1]
    assert np.array_equal(batch(apart).pixels, both.pixels)


def test_a_turn_to_the_right_brings_the_left_side_up() -> None:
    picture = image_from_mask(left_half())
    right = rotate(picture)
    assert right.pixels.shape == (1, 6, 4, 3)
    assert right.pixels[0, :, 0, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert np.array_equal(rotate(right, turn="left").pixels, picture.pixels)
    assert np.array_equal(rotate(right).pixels, rotate(picture, turn="over").pixels)


@pytest.mark.parametrize("radius", [1, 2, 3, 8, 9, 30])
def test_a_pixel_grows_to_a_disc(radius: int) -> None:
    dot = np.zeros((1, 64, 70), np.float32)
    dot[0, 31, 33] = 1
    y, x = np.mgrid[:64, :70]
    disc = ((y - 31) ** 2 + (x - 33) ** 2 <= radius**2).astype(np.float32)
    assert np.array_equal(mask_grow(Mask(dot), pixels=radius).values[0], disc)
    assert np.array_equal(mask_grow(Mask(1 - dot), pixels=-radius).values[0], 1 - disc)


@pytest.mark.parametrize("radius", [3, 12])
def test_each_grey_of_a_mask_grows(radius: int) -> None:
    greys = np.rint(np.random.default_rng(0).random((1, 20, 24)) ** 8 * 255) / 255
    y, x = np.mgrid[:20, :24]
    grown = mask_grow(Mask(greys.astype(np.float32)), pixels=radius).values[0]
    for row, column in ((0, 0), (7, 11), (19, 23)):
        near = (y - row) ** 2 + (x - column) ** 2 <= radius**2
        assert grown[row, column] == pytest.approx(greys[0][near].max(), abs=1e-6)


@pytest.mark.parametrize("overlap", [10, 12, 15, 400])
def test_an_overlap_beyond_the_old_picture_paints_all_of_it(overlap: int) -> None:
    assert pad(plain(0.5, 10, 10), bottom=5, overlap=overlap).mask.values.all()
    assert pad(plain(0.5, 10, 10), left=5, overlap=overlap).mask.values.all()
