"""Annotators without weights, against their formulas written out and on pictures of few pixels."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from nodegraph_image import (
    Image,
    blur,
    color_grid,
    line_segments,
    lineart,
    normal_from_depth,
    recolour,
    scribble,
    scribble_xdog,
    segment,
    shuffle,
    soft_edge,
    threshold,
    tile,
)

ALL: list[Callable[[Image], Image]] = [
    blur, color_grid, line_segments, lineart, normal_from_depth, recolour, scribble,
    scribble_xdog, segment, shuffle, soft_edge, threshold, tile,
]  # fmt: skip


def picture(height: int, width: int, count: int = 1, seed: int = 0) -> Image:
    """A smooth picture of random colours, the same for a seed."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    pixels = [cv2.resize(x, (width, height), interpolation=cv2.INTER_CUBIC) for x in small]
    return Image(np.stack(pixels).astype(np.float32) / np.float32(255))


def bytes_of(image: Image) -> NDArray[np.uint8]:
    """The pixels as bytes (B, H, W, 3)."""
    return np.rint(image.pixels * 255).astype(np.uint8)


@pytest.mark.parametrize("annotate", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (63, 2), (37, 50)])
def test_every_annotator_takes_every_size(
    annotate: Callable[[Image], Image], size: tuple[int, int]
) -> None:
    done = annotate(picture(*size))
    if annotate is not tile:
        assert done.pixels.shape == (1, *size, 3)
    assert np.isfinite(done.pixels).all()


@pytest.mark.parametrize("annotate", ALL, ids=lambda f: f.__name__)
def test_pictures_of_a_batch_are_treated_by_themselves(annotate: Callable[[Image], Image]) -> None:
    both = picture(40, 48, count=2)
    whole = annotate(both).pixels
    for index in range(2):
        alone = annotate(Image(both.pixels[index : index + 1])).pixels
        assert np.array_equal(whole[index : index + 1], alone)


def test_scribble_turns_dark_strokes_white() -> None:
    pixels = np.full((1, 3, 3, 3), 1.0, np.float32)
    pixels[0, 1, 1] = [1, 1, 126 / 255]
    pixels[0, 0, 0] = [1, 1, 127 / 255]
    done = scribble(Image(pixels)).pixels
    assert done[0, 1, 1].tolist() == [1, 1, 1]
    assert done.sum() == 3


def test_xdog_is_the_least_difference_of_two_blurs() -> None:
    image = picture(60, 70, seed=3)
    x = bytes_of(image)[0].astype(np.float32)
    wide, narrow = cv2.GaussianBlur(x, (0, 0), 5), cv2.GaussianBlur(x, (0, 0), 0.5)
    wanted = 2 * (255 - (255 - (wide - narrow).min(axis=2)).clip(0, 255)) > 32
    assert 0 < wanted.mean() < 1
    assert np.array_equal(scribble_xdog(image).pixels[0, :, :, 0] == 1, wanted)


def test_line_art_brings_a_median_line_to_half_grey() -> None:
    image = picture(60, 70, seed=4)
    x = bytes_of(image)[0].astype(np.float32)
    lines = (cv2.GaussianBlur(x, (0, 0), 6) - x).min(axis=2).clip(0, 255)
    lines[lines < 8] = 0
    wanted = (lines / max(16, np.median(lines[lines > 8])) * 127).clip(0, 255).astype(np.uint8)
    assert wanted.max() > 127
    assert np.abs(bytes_of(lineart(image))[0, :, :, 0].astype(int) - wanted).max() <= 1


def test_a_step_has_a_soft_edge_as_bright_as_it_is_high() -> None:
    pixels = np.zeros((1, 9, 10, 3), np.float32)
    pixels[:, :, 5:] = 0.4
    row = bytes_of(soft_edge(Image(pixels)))[0, 4, :, 0]
    assert row.tolist() == [0, 0, 0, 0, 102, 102, 0, 0, 0, 0]


def test_line_segments_find_the_sides_of_a_square() -> None:
    pixels = np.zeros((1, 64, 64, 3), np.float32)
    pixels[:, 16:48, 16:48] = 1
    drawn = line_segments(Image(pixels)).pixels[0, :, :, 0] > 0
    sides = cv2.dilate(drawn.astype(np.uint8), np.ones((5, 5), np.uint8))
    for side in (sides[20:44, 16], sides[20:44, 47], sides[16, 20:44], sides[47, 20:44]):
        assert side.all()
    assert not drawn[24:40, 24:40].any()


def test_normals_of_a_slope_point_along_it() -> None:
    ramp = np.broadcast_to(
        np.linspace(0, 1, 9, dtype=np.float32)[None, None, :, None], (1, 9, 9, 3)
    )
    done = normal_from_depth(Image(np.ascontiguousarray(ramp)), scale=20, background=0)
    x, y, z = bytes_of(done)[0, 4, 4]
    dx = 8 * 20 / 8  # Sobel sums eight unit slopes of 20 / 8
    length = np.hypot(dx, 2 * np.pi)
    assert abs(int(x) - (dx / length + 1) * 127.5) <= 1
    assert abs(int(y) - 127.5) <= 1
    assert abs(int(z) - (2 * np.pi / length + 1) * 127.5) <= 1
    turned = normal_from_depth(Image(np.ascontiguousarray(ramp)), background=0, order="bgr")
    assert np.array_equal(turned.pixels[..., ::-1], done.pixels)


def test_a_far_background_is_flat() -> None:
    depth = np.random.default_rng(0).uniform(0, 0.39, (1, 16, 16, 1)).astype(np.float32)
    depth[0, :2, :2], depth[0, 0, 0] = 0.0, 1.0
    done = bytes_of(normal_from_depth(Image(np.repeat(depth, 3, axis=3))))
    assert done[0, 8, 8].tolist() == [128, 128, 255]


def test_shuffle_depends_on_its_seed_alone() -> None:
    image = picture(80, 100)
    once, again, other = (shuffle(image, seed=s, scale=32).pixels for s in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    np.random.seed(5)
    untouched = np.random.uniform()
    np.random.seed(5)
    shuffle(image)
    assert np.random.uniform() == untouched


def test_a_colour_grid_has_one_colour_in_a_block() -> None:
    image = picture(64, 128)
    done = color_grid(image, block=32).pixels[0]
    for top in (0, 32):
        for left in (0, 32, 64, 96):
            block = done[top : top + 32, left : left + 32]
            assert np.ptp(block, axis=(0, 1)).max() == 0
            mean = image.pixels[0, top : top + 32, left : left + 32].mean(axis=(0, 1))
            assert np.abs(block[0, 0] - mean).max() < 1.01 / 255


def test_otsu_parts_two_greys() -> None:
    pixels = np.full((1, 8, 8, 3), 0.2, np.float32)
    pixels[:, :, 4:] = 0.4
    assert threshold(Image(pixels)).pixels.sum() == 0
    assert threshold(Image(pixels), method="otsu").pixels[0, 0, :, 0].tolist() == [0] * 4 + [1] * 4


def test_luminance_weighs_colours_and_intensity_takes_the_largest() -> None:
    red = np.zeros((1, 1, 1, 3), np.float32)
    red[..., 0] = 1
    assert recolour(Image(red), keep="intensity").pixels.ravel().tolist() == [1, 1, 1]
    assert abs(recolour(Image(red)).pixels[0, 0, 0, 0] - 0.532) < 0.01  # L of sRGB red


def test_tile_keeps_colours_and_loses_detail() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2
    image = Image(np.repeat(checks[None, :, :, None].astype(np.float32), 3, axis=3))
    done = tile(image, resolution=0).pixels
    assert done.shape == image.pixels.shape
    assert np.abs(done - 0.5).max() < 0.01


def test_segments_tell_two_things_apart_and_paint_flat() -> None:
    pixels = np.zeros((1, 40, 40, 3), np.float32)
    pixels[:, :, :] = [0.1, 0.2, 0.8]
    pixels[:, 10:30, 10:30] = [0.9, 0.2, 0.1]
    done = bytes_of(segment(Image(pixels), colors=2))[0]
    assert len(np.unique(done.reshape(-1, 3), axis=0)) == 2
    assert (done[20, 20] != done[2, 2]).any()


def test_a_resolution_scales_while_looking() -> None:
    done = scribble_xdog(picture(100, 130), resolution=128)
    assert done.pixels.shape == (1, 128, 192, 3)
    with pytest.raises(ValueError, match="67,108,864 pixels"):
        scribble_xdog(picture(1, 100), resolution=4096)


def test_a_picture_too_wide_to_be_stirred_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="shuffle: 40000 x 2; sides are at most 32,766"):
        shuffle(Image(np.zeros((1, 2, 40000, 3), np.float32)))
