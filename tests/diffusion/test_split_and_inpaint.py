"""Runs in two parts, and runs that paint inside a mask only."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nodegraph import Context
from nodegraph_diffusion import (
    ControlNet,
    Latent,
    UNet,
    apply_controlnet,
    custom_sigmas,
    empty_latent,
    make_sigmas,
    sample,
    split_sigmas,
)
from nodegraph_diffusion.guidance import Guided
from nodegraph_diffusion.samplers import SAMPLERS
from nodegraph_diffusion.schedule import make_schedule
from nodegraph_image import Image, Mask
from tests.diffusion import toys

UNET = toys.unet()
NET = ControlNet(toys.controlnet_model(), "sd1", "toy")
HINT = Image(np.random.default_rng(0).random((1, 64, 64, 3), dtype=np.float32))
SIZE = (2, 4, 8, 8)
PICTURE = Latent(torch.randn(SIZE, generator=torch.Generator().manual_seed(3)))
ONE_STEP = ["ddim", "euler", "euler_ancestral", "heun", "lcm"]
MULTISTEP = ["dpmpp_2m", "dpmpp_2m_sde", "uni_pc"]


def draw(latent: Latent = PICTURE, unet: UNet = UNET, **more: Any) -> Tensor:
    """Sample a small batch."""
    context = more.pop("context", Context())
    settings = {"cfg": 3.0, "seed": 1, **more}
    positive, negative = toys.conditioning(0), toys.conditioning(1)
    return sample(unet, positive, negative, latent, context, **settings).samples


def half(height: int = 64, width: int = 64) -> Mask:
    """Return a mask that is white on the right."""
    values = np.zeros((1, height, width), np.float32)
    values[:, :, width // 2 :] = 1
    return Mask(values)


def soft() -> Mask:
    """Return a mask that gets whiter to the right, black on the left."""
    ramp = np.clip(np.linspace(-0.5, 1, 64, dtype=np.float32), 0, 1)
    return Mask(np.broadcast_to(ramp, (1, 64, 64)).copy())


def in_two(at: int, sampler: str, **more: Any) -> Tensor:
    """Sample 6 steps in two parts."""
    high, low = split_sigmas(make_sigmas(UNET, scheduler="normal", steps=6), step=at)
    extra: dict[str, Any] = {"original": PICTURE} if "mask" in more else {}
    middle = draw(sampler=sampler, sigmas=high, **more)
    return draw(Latent(middle), sampler=sampler, sigmas=low, add_noise=False, **more, **extra)


@pytest.mark.parametrize("sampler", ONE_STEP)
@pytest.mark.parametrize("at", [0, 2, 6])
def test_two_parts_are_the_whole_run_bit_by_bit(sampler: str, at: int) -> None:
    whole = draw(sampler=sampler, scheduler="normal", steps=6)
    assert torch.equal(in_two(at, sampler), whole)


@pytest.mark.parametrize("sampler", MULTISTEP)
def test_samplers_with_a_memory_start_anew_in_the_second_part(sampler: str) -> None:
    whole, parts = draw(sampler=sampler, scheduler="normal", steps=6), in_two(3, sampler)
    assert not torch.equal(parts, whole)
    assert float((parts - whole).norm() / whole.norm()) < 0.1


@pytest.mark.parametrize("sampler", ONE_STEP)
@pytest.mark.parametrize("mask", [half(), soft()])
def test_two_parts_of_an_inpainting_are_the_whole_run(sampler: str, mask: Mask) -> None:
    whole = draw(sampler=sampler, scheduler="normal", steps=6, mask=mask)
    assert torch.equal(in_two(2, sampler, mask=mask), whole)


@pytest.mark.parametrize("rule", ["sigma", "step"])
def test_windows_mean_the_same_in_two_parts(rule: Any) -> None:
    unet = apply_controlnet(UNET, NET, HINT, start=0.2, end=0.7, window=rule)
    whole = draw(unet=unet, sampler="euler", scheduler="normal", steps=6)
    assert torch.equal(in_two(2, "euler", unet=unet), whole)
    assert not torch.equal(whole, draw(sampler="euler", scheduler="normal", steps=6))


def test_given_levels_are_sampled_along() -> None:
    levels = make_schedule("exponential", UNET.noise, 4).sigmas
    given = draw(sigmas=custom_sigmas(levels=list(levels)), sampler="heun")
    assert torch.equal(given, draw(scheduler="exponential", steps=4, sampler="heun"))


def test_a_first_part_without_steps_only_adds_noise() -> None:
    noise = torch.randn(SIZE, generator=torch.Generator("cpu").manual_seed(1))
    result = draw(sigmas=custom_sigmas(levels=[2.0]))
    assert torch.equal(result, PICTURE.samples + 2.0 * noise)


@pytest.mark.parametrize("more", [{"steps": 5}, {"scheduler": "normal"}, {"denoise": 0.5}])
def test_settings_that_have_no_say_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sample: scheduler, steps and denoise have no say where"):
        draw(sigmas=custom_sigmas(levels=[2.0, 0.0]), **more)


def plain_inpainting(mask: Tensor, steps: int, sampler: str, cfg: float = 3.0) -> Tensor:
    """Write the rule down once more, around the sampler itself."""
    schedule = make_schedule("normal", UNET.noise, steps)
    generator = torch.Generator("cpu").manual_seed(1)
    noise = torch.randn(SIZE, generator=generator)
    original = PICTURE.samples
    with torch.inference_mode():
        guided = Guided(
            UNET, schedule, toys.conditioning(0), toys.conditioning(1), cfg=cfg, batch=2
        )

        def denoise(x: Tensor, sigma: float, index: int) -> Tensor:
            x = mask * x + (1 - mask) * (original + noise * sigma)
            return mask * guided(x, sigma, index) + (1 - mask) * original

        x = original + noise * schedule.sigmas[0]
        draws = lambda like: torch.randn(like.shape, generator=generator)  # noqa: E731
        *_, x = SAMPLERS[sampler](denoise, x, schedule.sigmas, draws)
    return x.clone()


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_inpainting_is_the_plain_rule(sampler: str) -> None:
    mask = torch.tensor(soft().values).reshape(1, 1, 8, 8, 8, 8).mean(dim=(3, 5))
    result = draw(mask=soft(), sampler=sampler, scheduler="normal", steps=5)
    plain = plain_inpainting(mask, 5, sampler)
    torch.testing.assert_close(result, plain, atol=1e-4, rtol=1e-4)  # sums in another order


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("denoise", [1.0, 0.5])
def test_outside_of_the_mask_not_a_bit_changes(sampler: str, denoise: float) -> None:
    result = draw(mask=half(), sampler=sampler, steps=4, denoise=denoise)
    assert torch.equal(result[..., :4], PICTURE.samples[..., :4])
    assert (result[..., 4:] - PICTURE.samples[..., 4:]).abs().mean() > 0.01


def test_a_white_mask_is_no_mask_and_a_black_one_no_run() -> None:
    white, black = (Mask(np.full((1, 64, 64), value, np.float32)) for value in (1, 0))
    assert torch.equal(draw(mask=white, steps=4), draw(steps=4))
    assert torch.equal(draw(mask=black, steps=4), PICTURE.samples)


def test_the_mask_matters_to_what_is_painted_inside() -> None:
    assert not torch.allclose(draw(mask=half(), steps=4)[..., 4:], draw(steps=4)[..., 4:])


def test_a_batch_may_have_one_mask_each() -> None:
    values = np.stack([half().values[0], np.zeros((64, 64), np.float32)])
    result = draw(mask=Mask(values), steps=4)
    assert torch.equal(result[1], PICTURE.samples[1])
    alone = draw(mask=half(), steps=4)
    torch.testing.assert_close(result[0], alone[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (100, 100), (1, 1), (3, 3), (256, 260)])
def test_masks_of_other_sizes_are_brought_to_the_latents(size: tuple[int, int]) -> None:
    result = draw(mask=half(*size), steps=2)
    assert bool(result.isfinite().all())


def test_a_mask_that_crosses_a_latent_pixel_is_soft_there() -> None:
    values = np.zeros((1, 64, 64), np.float32)
    values[:, :, 28:] = 1  # half of the fourth latent column
    result = draw(mask=Mask(values), steps=2)
    assert torch.equal(result[..., :3], PICTURE.samples[..., :3])
    assert not torch.equal(result[..., 3], PICTURE.samples[..., 3])


def test_the_original_stays_where_it_is_another_than_the_latent() -> None:
    result = draw(
        empty_latent(width=64, height=64, batch=2), mask=half(), original=PICTURE, steps=3
    )
    assert torch.equal(result[..., :4], PICTURE.samples[..., :4])
    one = Latent(PICTURE.samples[:1])
    shared = draw(mask=half(), original=one, steps=3)
    assert torch.equal(shared[1, ..., :4], PICTURE.samples[0, ..., :4])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"mask": half(64, 32)},
            "sample: the mask is 32 x 64 and the picture 64 x 64; give a mask",
        ),
        ({"mask": Mask(np.ones((3, 64, 64), np.float32))}, "sample: 3 masks for 2 latents; give"),
        ({"original": PICTURE}, "sample: original goes with a mask; give one, or leave it out"),
        ({"mask": half(), "add_noise": False}, "sample: with add_noise off the latent is not what"),
        (
            {"mask": half(), "original": empty_latent(width=32, height=64)},
            r"sample: original is \(1, 4, 8, 4\) and latent \(2, 4, 8, 8\); give two of one size",
        ),
        (
            {"mask": half(), "original": Latent(torch.full(SIZE, torch.nan))},
            "sample: original is not finite; repair the node or file it is from",
        ),
        ({"sampler": "euler", "eta": 0.5}, "eta: 'euler' has none; leave it out, or use"),
    ],
)
def test_what_does_not_go_together_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(steps=2, **more)


def test_the_record_says_what_each_control_did() -> None:
    context = Context()
    unet = apply_controlnet(UNET, NET, HINT, strength=0.7, start=0.25, end=0.75, window="step")
    unet = apply_controlnet(unet, NET, HINT, strength=0.0, mode="soft", mask=half())
    draw(unet=unet, steps=8, context=context)
    window = {"rule": "step", "start": 0.25, "end": 0.75}
    assert context.notes["controls"] == [
        {
            "strength": 0.7, "mode": "balanced", "window": window,
            "masked": False, "steps": [2, 3, 4, 5], "count": 8,
        },
        {
            "strength": 0.0, "mode": "soft",
            "window": {"rule": "sigma", "start": 0.0, "end": 1.0},
            "masked": True, "steps": [], "count": 8,
        },
    ]  # fmt: skip


def test_the_record_does_not_know_what_a_file_is_called() -> None:
    told: list[object] = []
    for name in ("one", "other"):  # of one content, and so of one key
        context = Context()
        draw(unet=apply_controlnet(UNET, replace(NET, name=name), HINT), steps=1, context=context)
        told.append(context.notes)
    assert told[0] == told[1]


def test_the_record_of_a_part_counts_in_the_whole_run() -> None:
    context = Context()
    unet = apply_controlnet(UNET, NET, HINT, end=0.5, window="step")
    _, low = split_sigmas(make_sigmas(UNET, steps=8), step=2)
    draw(unet=unet, sigmas=low, add_noise=False, context=context)
    (note,) = context.notes["controls"]
    assert (note["steps"], note["count"]) == ([2, 3], 8)


def test_a_run_without_controls_records_none() -> None:
    context = Context()
    draw(steps=1, context=context)
    assert context.notes == {}
