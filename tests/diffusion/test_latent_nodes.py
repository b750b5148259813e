"""Latents resized, repeated and laid over each other."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nodegraph_diffusion import Latent, composite_latent, empty_latent, repeat_latent, resize_latent
from nodegraph_image import Mask

LATENT = Latent(torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0)))
MODES = ["nearest", "bilinear", "bicubic", "area"]


def mask(values: Any) -> Mask:
    """Return a mask."""
    return Mask(np.asarray(values, np.float32))


@pytest.mark.parametrize("interpolation", MODES)
def test_sizes_are_in_pixels(interpolation: Any) -> None:
    resized = resize_latent(LATENT, width=160, height=128, interpolation=interpolation)
    assert resized.samples.shape == (2, 4, 16, 20)
    assert bool(resized.samples.isfinite().all())


@pytest.mark.parametrize(("scale", "size"), [(1.5, (12, 18)), (0.01, (1, 1)), (1.3, (10, 16))])
def test_a_scale_is_rounded_to_latent_pixels(scale: float, size: tuple[int, int]) -> None:
    assert resize_latent(LATENT, scale=scale).samples.shape[2:] == size


@pytest.mark.parametrize("interpolation", MODES)
def test_an_even_latent_stays_even(interpolation: Any) -> None:
    flat = Latent(torch.full((1, 4, 5, 7), 0.7))
    for sides in ({"width": 96, "height": 80}, {"width": 24, "height": 8}):
        resized = resize_latent(flat, interpolation=interpolation, **sides).samples
        torch.testing.assert_close(resized, torch.full_like(resized, 0.7))


def test_nearest_doubles_each_value() -> None:
    doubled = resize_latent(LATENT, scale=2, interpolation="nearest").samples
    expected = LATENT.samples.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(doubled, expected)


def test_area_is_the_mean() -> None:
    halved = resize_latent(LATENT, scale=0.5, interpolation="area").samples
    torch.testing.assert_close(halved, F.avg_pool2d(LATENT.samples, 2))


def test_the_same_size_is_the_same_latent() -> None:
    assert resize_latent(LATENT, width=96, height=64) is LATENT


@pytest.mark.parametrize(
    "sizes", [{}, {"width": 64}, {"height": 64}, {"scale": 2.0, "width": 64, "height": 64}]
)
def test_sizes_that_say_too_little_or_too_much_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        resize_latent(LATENT, **sizes)
    assert str(caught.value) == "resize_latent: give either width and height, or scale"


def test_sizes_that_no_latent_or_memory_has_are_refused() -> None:
    with pytest.raises(ValueError, match="resize_latent: 100 x 64 is not a multiple of 8"):
        resize_latent(LATENT, width=100, height=64)
    with pytest.raises(ValueError, match=r"2 x 16384 x 16384 is more than 67,108,864 pixels"):
        resize_latent(LATENT, width=16384, height=16384)
    with pytest.raises(ValueError, match=r"1024 x 1024 x 1024 is more than 67,108,864 pixels"):
        repeat_latent(empty_latent(width=1024, height=1024), count=1024)


def test_repeated_latents_are_the_batch_over_and_over() -> None:
    again = repeat_latent(LATENT, count=3).samples
    assert torch.equal(again, torch.cat([LATENT.samples] * 3))


def test_a_mask_takes_from_one_latent_or_the_other() -> None:
    below, over = Latent(torch.zeros(1, 4, 8, 12)), Latent(torch.ones(1, 4, 8, 12))
    values = np.zeros((1, 64, 96))
    values[:, :, 48:] = 1
    values[:, :8, :8] = 0.25
    result = composite_latent(below, over, mask(values)).samples
    expected = torch.zeros(1, 4, 8, 12)
    expected[..., 6:] = 1
    expected[..., 0, 0] = 0.25
    torch.testing.assert_close(result, expected)


def test_one_serves_all_of_a_batch() -> None:
    over = Latent(torch.ones(1, 4, 8, 12))
    assert composite_latent(LATENT, over, mask(np.zeros((1, 64, 96)))).samples.shape[0] == 2
    several = composite_latent(over, over, mask(np.ones((3, 64, 96))))
    assert several.samples.shape[0] == 3


def test_latents_and_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"composite_latent: one is \(2, 4, 8, 12\) and the other"):
        composite_latent(LATENT, Latent(torch.ones(1, 4, 8, 8)), mask(np.ones((1, 8, 8))))
    with pytest.raises(ValueError, match="composite_latent: 3 masks for 2 latents; give one mask"):
        composite_latent(LATENT, LATENT, mask(np.ones((3, 64, 96))))
    with pytest.raises(ValueError, match="composite_latent: the mask is 64 x 96 and the picture"):
        composite_latent(LATENT, LATENT, mask(np.ones((1, 96, 64))))


def test_a_latent_that_is_not_finite_is_not_laid_over_another() -> None:
    below = Latent(torch.full((1, 4, 2, 2), float("nan")))
    mask = Mask(np.zeros((1, 16, 16), np.float32))
    with pytest.raises(ValueError, match="composite_latent: a latent is not finite"):
        composite_latent(Latent(torch.zeros(1, 4, 2, 2)), below, mask)
