"""Controls with masks, hints fitted and erased."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nodegraph import Context
from nodegraph_diffusion import ControlNet, UNet, apply_controlnet, empty_latent, sample
from nodegraph_diffusion.conditioning import NEGATIVE, POSITIVE, stack
from nodegraph_diffusion.hints import fit_hint
from nodegraph_diffusion.masks import scale_mask
from nodegraph_diffusion.schedule import make_schedule
from nodegraph_diffusion.step import Step
from nodegraph_image import Image, Mask
from tests.diffusion import toys

UNET = toys.unet()
NETS = [ControlNet(toys.controlnet_model(seed), "sd1", f"toy {seed}") for seed in (1, 7)]
PIXELS = np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)
HINTS = [Image(PIXELS[:1]), Image(PIXELS[1:])]
ROWS = stack([(POSITIVE, toys.conditioning(0)), (NEGATIVE, toys.conditioning(1))], 2)
X = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(5))
STEP = Step((1.0, 1.0), (UNET.noise.timestep(1.0),) * 2, 0, 1)


def mask(values: Any) -> Mask:
    """Return a mask of arrays (B, H, W)."""
    return Mask(np.asarray(values, np.float32))


def full(value: float, count: int = 1, size: int = 64) -> Mask:
    """Return an even mask."""
    return mask(np.full((count, size, size), value))


def ramp() -> Mask:
    """Return a mask that is random, soft and of another scale than the latent."""
    return mask(np.random.default_rng(1).random((1, 128, 128)))


def guided(unet: UNet = UNET, net: int = 0, **more: Any) -> UNet:
    """Wrap one of the ControlNets around a UNet."""
    return apply_controlnet(unet, NETS[net], more.pop("hint", HINTS[net]), **more)


def once(unet: UNet) -> Tensor:
    """Predict two latents under both prompts."""
    with torch.inference_mode():
        return unet(X, STEP, ROWS)


def injected(unet: UNet, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return what is added to the network's skips and middle."""
    seen: list[Tensor] = []
    forward = unet.model.forward

    def spied(x: Tensor, time: object, context: object, injection: Any, y: object) -> Tensor:
        seen.extend([*injection.skips, injection.middle])
        return forward(x, time, context, injection, y)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(unet.model, "forward", spied)
        once(unet)
    return seen


def draw(unet: UNet, batch: int = 2, **more: Any) -> Tensor:
    """Sample two steps."""
    latent = more.pop("latent", None) or empty_latent(width=64, height=64, batch=batch)
    positive, negative = toys.conditioning(0), toys.conditioning(1)
    return sample(unet, positive, negative, latent, Context(), steps=2, cfg=3.0).samples


def count_forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the batch of each of the first ControlNet's forward calls."""
    calls: list[int] = []
    model = NETS[0].model
    forward = model.forward

    def counted(x: Tensor, *rest: object) -> list[Tensor]:
        calls.append(len(x))
        return forward(x, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "forward", counted)
    return calls


def test_a_white_mask_changes_no_bit() -> None:
    assert torch.equal(once(guided(mask=full(1.0))), once(guided()))
    assert torch.equal(draw(guided(mask=full(1.0, 2))), draw(guided()))


def test_a_black_mask_is_no_control_and_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_forwards(monkeypatch)
    unet = guided(mask=full(0.0))
    assert torch.equal(once(unet), once(UNET))
    assert torch.equal(draw(unet), draw(UNET))
    assert calls == []


def test_residuals_are_multiplied_by_the_mask_at_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, masked = (injected(unet, monkeypatch) for unet in (guided(), guided(mask=ramp())))
    values = torch.tensor(ramp().values).unsqueeze(1)
    assert len({tuple(r.shape[2:]) for r in plain}) == 4
    for before, after in zip(plain, masked, strict=True):
        height, width = before.shape[2:]
        cells = values.reshape(1, 1, height, 128 // height, width, 128 // width)
        share = cells.mean(dim=(3, 5))
        torch.testing.assert_close(after, before * share, atol=1e-6, rtol=1e-5)


def test_two_masked_controls_share_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ramp(), mask(1.0 - ramp().values)
    alone = [injected(guided(net=i), monkeypatch) for i in (0, 1)]
    both = injected(guided(guided(mask=first), net=1, mask=second), monkeypatch)
    values = [torch.tensor(m.values).unsqueeze(1) for m in (first, second)]
    for r1, r2, r in zip(*alone, both, strict=True):
        m1, m2 = (scale_mask(m, (r.shape[2], r.shape[3])) for m in values)
        torch.testing.assert_close(m1 + m2, torch.ones_like(m1))
        torch.testing.assert_close(r, m1 * r1 + m2 * r2, atol=1e-6, rtol=1e-5)


def test_a_grey_mask_is_a_weaker_control() -> None:
    grey, weak = once(guided(mask=full(0.5))), once(guided(strength=0.5))
    torch.testing.assert_close(grey, weak, atol=1e-6, rtol=1e-5)


def test_each_latent_has_its_own_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    own = mask(np.concatenate([ramp().values, np.zeros((1, 128, 128), np.float32)]))
    calls = count_forwards(monkeypatch)
    result = once(guided(mask=own))
    assert calls == [2]  # not run for the latent whose mask is black
    one = once(guided(mask=ramp()))
    torch.testing.assert_close(result[[0, 2]], one[[0, 2]], atol=1e-5, rtol=1e-5)
    plain = once(UNET)
    assert torch.equal(result[[1, 3]], plain[[1, 3]])
    assert not torch.allclose(result[[0, 2]], plain[[0, 2]], atol=1e-4)


@pytest.mark.parametrize("mode", ["cond_only", "soft", "guess"])
def test_masks_work_in_every_mode(mode: Any) -> None:
    own = mask(np.stack([np.ones((64, 64)), np.full((64, 64), 0.5)]))
    result = once(guided(mask=own, mode=mode))
    first, second = once(guided(mode=mode)), once(guided(mask=full(0.5), mode=mode))
    torch.testing.assert_close(result[0], first[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result[1], second[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(9, 7), (5, 11), (1, 1), (3, 8)])
def test_masks_fit_sizes_that_do_not_halve_evenly(size: tuple[int, int]) -> None:
    height, width = 8 * size[0], 8 * size[1]
    values = np.ones((1, height, width), np.float32)
    values[:, : height // 2] = 0
    result = draw(guided(mask=mask(values)), latent=empty_latent(width=width, height=height))
    assert bool(result.isfinite().all())


@pytest.mark.parametrize(
    ("area", "message"),
    [
        (full(0.5, 3), "toy 1: 3 masks for 2 latents; give one mask, or one for each latent"),
        (
            mask(np.full((1, 64, 32), 0.5)),
            "toy 1: the mask is 32 x 64 and the picture 64 x 64; give a mask of the picture's size",
        ),
    ],
)
def test_a_mask_of_another_picture_or_batch_is_refused(area: Mask, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        draw(guided(mask=area))
    assert str(caught.value) == message


def test_small_masks_are_enlarged_between_their_values() -> None:
    small = torch.tensor([[[[0.0, 1.0]]]])
    torch.testing.assert_close(
        scale_mask(small, (1, 4)), torch.tensor([[[[0.0, 0.25, 0.75, 1.0]]]])
    )


def spots(height: int, width: int) -> Tensor:
    """Return a hint of few hard colours."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 2, (1, 3, height, width), generator=generator).float()


def test_stretch_keeps_all_of_a_hint_and_no_proportions() -> None:
    wide = torch.zeros(1, 3, 32, 96)
    wide[..., :48] = 1.0
    fitted = fit_hint(wide, (64, 64), "stretch")
    torch.testing.assert_close(fitted[..., :28], torch.ones(1, 3, 64, 28))
    torch.testing.assert_close(fitted[..., 36:], torch.zeros(1, 3, 64, 28))


@pytest.mark.parametrize(("height", "width"), [(32, 96), (96, 32)])
def test_pad_keeps_all_of_a_hint_with_black_around(height: int, width: int) -> None:
    fitted = fit_hint(torch.ones(1, 3, height, width), (48, 48), "pad")
    expected = torch.zeros(1, 3, 48, 48)
    if width > height:
        expected[:, :, 16:32] = 1.0
    else:
        expected[:, :, :, 16:32] = 1.0
    torch.testing.assert_close(fitted, expected)


def colours(x: Tensor) -> set[float]:
    """Return the values of a picture, to three places."""
    return {round(float(value), 3) for value in x.flatten()}


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (64, 200), (200, 64), (1, 500)])
def test_every_size_is_fitted(resize: Any, size: tuple[int, int]) -> None:
    modes: tuple[Any, ...] = ("linear", "nearest")
    for interpolation in modes:
        fitted = fit_hint(spots(*size), (24, 40), resize, interpolation)
        assert fitted.shape == (1, 3, 24, 40)
        assert 0.0 <= float(fitted.min()) <= float(fitted.max()) <= 1.0


def test_nearest_mixes_no_colours() -> None:
    hint = spots(40, 40)
    assert colours(fit_hint(hint, (64, 64), "crop", "nearest")) == {0.0, 1.0}
    assert len(colours(fit_hint(hint, (64, 64), "crop", "linear"))) > 10


def test_the_node_hands_on_how_a_hint_is_fitted() -> None:
    wide = Image(spots(32, 96).permute(0, 2, 3, 1).numpy())
    results = [
        once(guided(hint=wide, resize=resize, interpolation=interpolation))
        for resize in ("crop", "stretch", "pad")
        for interpolation in ("linear", "nearest")
    ]
    for i, a in enumerate(results):
        for b in results[i + 1 :]:
            assert not torch.equal(a, b)
    assert torch.equal(once(guided(hint=wide)), results[0])


def hints_seen(unet: UNet, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Return the hint as the ControlNet gets it."""
    seen: list[Tensor] = []
    model = NETS[0].model
    embed = model.embed_hint

    def spied(hint: Tensor) -> Tensor:
        seen.append(hint)
        return embed(hint)

    with monkeypatch.context() as patch:
        patch.setattr(model, "embed_hint", spied)
        once(unet)
    (only,) = seen
    return only


def test_what_is_erased_is_minus_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((1, 64, 64), np.float32)
    values[:, 10:30, 20:50] = 1.0
    values[:, 40:50] = 0.49  # less than half
    seen = hints_seen(guided(erase=mask(values)), monkeypatch)
    expected = torch.tensor(PIXELS[:1]).permute(0, 3, 1, 2).clone()
    expected[:, :, 10:30, 20:50] = -1.0
    assert torch.equal(seen, expected)


def test_what_is_erased_is_fitted_with_the_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((1, 32, 96), np.float32)
    values[:, :, 32:64] = 1.0  # what "crop" keeps
    wide = Image(np.ones((1, 32, 96, 3), np.float32))
    erased = mask(values)
    crop = hints_seen(guided(hint=wide, erase=erased), monkeypatch)
    assert torch.equal(crop, torch.full((1, 3, 64, 64), -1.0))
    pad = hints_seen(guided(hint=wide, erase=erased, resize="pad"), monkeypatch)
    assert colours(pad) == {-1.0, 0.0, 1.0}  # erased, around, kept
    assert pad[0, 0, 32].tolist().count(-1.0) == pytest.approx(64 / 3, abs=1)


def test_one_hint_may_be_erased_in_another_place_for_each_latent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.stack([np.zeros((64, 64)), np.ones((64, 64))])
    seen = hints_seen(guided(erase=mask(values)), monkeypatch)
    assert seen.shape == (2, 3, 64, 64)
    assert bool((seen[1] == -1.0).all())
    assert not bool((seen[0] == -1.0).any())


def test_masks_to_erase_that_do_not_fit_the_hint_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        guided(erase=full(1.0, size=32))
    assert str(caught.value) == (
        "apply_controlnet: erase is 32 x 32 and the hint 64 x 64; give a mask of the hint's size"
    )
    with pytest.raises(ValueError) as caught:
        guided(hint=Image(PIXELS), erase=full(1.0, 3))
    assert str(caught.value) == (
        "apply_controlnet: 3 masks to erase 2 hints; give one, or one for each"
    )


def test_a_number_of_hints_that_fits_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="toy 1: 2 hints for 3 latents; give one hint, or one"):
        draw(guided(hint=Image(PIXELS)), batch=3)


def test_a_control_that_is_masked_out_says_so() -> None:
    schedule = make_schedule("karras", UNET.noise, 20)
    unet = guided(guided(mask=full(0.0)), mask=full(0.1))
    assert unet.describe_layers(schedule) == ["toy 1: no step of 20", "toy 1: steps 1 to 20 of 20"]
