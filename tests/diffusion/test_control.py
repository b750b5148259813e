"""A ControlNet as a layer: when it acts, on which rows, and how much."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nodegraph_diffusion import ControlNet, apply_controlnet
from nodegraph_diffusion.conditioning import NEGATIVE, POSITIVE, stack
from nodegraph_diffusion.control import Control, depth_weights
from nodegraph_diffusion.guidance import Guided
from nodegraph_diffusion.hints import fit_hint
from nodegraph_diffusion.predictor import UNet
from nodegraph_diffusion.samplers import SAMPLERS
from nodegraph_diffusion.schedule import make_schedule
from nodegraph_diffusion.step import Step
from nodegraph_diffusion.window import Window
from nodegraph_image import Image
from tests.diffusion import toys

UNET = toys.unet()
MODEL = toys.controlnet_model()
HINT = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5))
ROWS = stack([(POSITIVE, toys.conditioning(0)), (NEGATIVE, toys.conditioning(1))], 1)


def control(**more: object) -> Control:
    """Return a control, always on at strength 1 unless said otherwise."""
    plain = Control(MODEL, "toy", HINT, 1.0, Window(), "balanced")
    return replace(plain, **more)  # type: ignore[arg-type]


def once(unet: UNet, sigma: float = 1.0) -> Tensor:
    """Predict at one noise level."""
    with torch.inference_mode():
        return unet(X, Step((sigma,), (unet.noise.timestep(sigma),), 0, 1), ROWS)


def run(unet: UNet, steps: int = 4, cfg: float = 3.0, batch: int = 1) -> Tensor:
    """Sample small latents."""
    schedule = make_schedule("normal", unet.noise, steps)
    positive, negative = toys.conditioning(0), toys.conditioning(1)
    with torch.inference_mode():
        guided = Guided(unet, schedule, positive, negative, cfg=cfg, batch=batch)
        x = X[:batch] * schedule.sigmas[0]
        *_, x = SAMPLERS["euler"](guided, x, schedule.sigmas, torch.randn_like)
        return x


def count_forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the batch of each of the ControlNet's forward calls."""
    calls: list[int] = []
    forward = MODEL.forward

    def counted(x: Tensor, *rest: object) -> list[Tensor]:
        calls.append(len(x))
        return forward(x, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(MODEL, "forward", counted)
    return calls


def test_a_zero_initialised_controlnet_changes_no_bit() -> None:
    fresh = toys.controlnet_model(zero=True)
    assert torch.equal(run(UNET.wrapped(control(model=fresh))), run(UNET))


def test_the_original_unet_is_left_alone() -> None:
    before = run(UNET)
    wrapped = UNET.wrapped(control())
    assert not torch.equal(run(wrapped), before)
    assert torch.equal(run(UNET), before)
    assert wrapped.model is UNET.model


@pytest.mark.parametrize("more", [{"strength": 0.0}, {"window": Window(0.5, 0.5)}])
def test_what_never_acts_is_never_run(
    more: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(UNET)
    calls = count_forwards(monkeypatch)
    assert torch.equal(run(UNET.wrapped(control(**more))), plain)
    assert calls == []


def test_a_control_runs_in_its_window_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_forwards(monkeypatch)
    run(UNET.wrapped(control(window=Window(0.0, 0.5, "step"))), steps=4)
    assert calls == [2, 2]


def test_conditional_only_runs_for_the_positive_rows_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = count_forwards(monkeypatch)
    plain, both = once(UNET), once(UNET.wrapped(control()))
    only = once(UNET.wrapped(control(mode="cond_only")))
    assert calls == [2, 1]
    torch.testing.assert_close(only[0], both[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(only[1], plain[1])


def test_conditional_only_takes_the_positive_rows_wherever_they_stand() -> None:
    rows = stack([(NEGATIVE, toys.conditioning(1)), (POSITIVE, toys.conditioning(0))], 1)
    step = Step((1.0,), (UNET.noise.timestep(1.0),), 0, 1)
    with torch.inference_mode():
        only, both, plain = (
            unet(X, step, rows)
            for unet in (
                UNET.wrapped(control(mode="cond_only")),
                UNET.wrapped(control()),
                UNET,
            )
        )
    assert torch.equal(only[0], plain[0])
    torch.testing.assert_close(only[1], both[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(only[1], plain[1], atol=1e-5)


def test_each_latent_is_judged_by_its_own_noise_level() -> None:
    sigmas = (0.5, 8.0)
    step = Step(sigmas, tuple(UNET.noise.timestep(sigma) for sigma in sigmas), 0, 1)
    rows = stack([(POSITIVE, toys.conditioning(0))], 2)
    with torch.inference_mode():
        late = UNET.wrapped(control(window=Window(0.5, 1.0)))(X, step, rows)
        plain, always = UNET(X, step, rows), UNET.wrapped(control())(X, step, rows)
    torch.testing.assert_close(late[0], always[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(late[1], plain[1])
    assert not torch.allclose(late[0], plain[0], atol=1e-5)


def test_thin_lines_of_a_large_hint_are_averaged_not_skipped() -> None:
    hint = torch.zeros(1, 3, 64, 64)
    hint[..., ::4] = 1.0  # between the samples of plain bilinear resampling
    torch.testing.assert_close(
        fit_hint(hint, (16, 16))[..., 2:-2], torch.full((1, 3, 16, 12), 0.25), atol=0.05, rtol=0
    )


def test_the_hint_is_embedded_once_per_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    embed = MODEL.embed_hint

    def counted(hint: Tensor) -> Tensor:
        calls.append(len(hint))
        return embed(hint)

    monkeypatch.setattr(MODEL, "embed_hint", counted)
    run(UNET.wrapped(control()), steps=6)
    assert calls == [1]


def test_strength_scales_what_is_injected(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Tensor]] = []

    unet = toys.unet()
    forward = unet.model.forward

    def spied(x: Tensor, time: object, context: object, injection: object, y: object) -> Tensor:
        seen.append([*injection.skips, injection.middle])  # type: ignore[attr-defined]
        return forward(x, time, context, injection, y)  # type: ignore[arg-type]

    monkeypatch.setattr(unet.model, "forward", spied)
    for strength in (1.0, -0.5):
        once(unet.wrapped(control(strength=strength)))
    once(unet.wrapped(control(strength=1.0)).wrapped(control(strength=0.25)))
    once(unet.wrapped(control(mode="soft")))
    full, minus, chained, soft = seen
    assert len(full) == 13
    for i in range(13):
        torch.testing.assert_close(minus[i], -0.5 * full[i])
        torch.testing.assert_close(chained[i], 1.25 * full[i])
        torch.testing.assert_close(soft[i], 0.825 ** (12 - i) * full[i])


def test_one_control_used_twice_counts_twice() -> None:
    once_ = control(strength=0.5)
    twice = once(UNET.wrapped(once_).wrapped(once_))
    torch.testing.assert_close(twice, once(UNET.wrapped(control())), atol=1e-5, rtol=1e-5)


def test_the_order_of_controls_does_not_matter() -> None:
    a, b = control(), control(model=toys.controlnet_model(7), strength=0.7)
    one, other = once(UNET.wrapped(a).wrapped(b)), once(UNET.wrapped(b).wrapped(a))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("count", "first"), [(13, 0.0994), (10, 0.1771)])
def test_soft_weights_follow_the_number_of_residuals(count: int, first: float) -> None:
    weights = depth_weights(count, "guess", 1.0)
    assert weights[0] == pytest.approx(first, abs=1e-4)
    assert weights[-1] == 1.0
    # diffusers spaces logarithmically from 0.1 to 1; for SD1 the two are 0.6 % apart at most.
    if count == 13:
        theirs = torch.logspace(-1, 0, 13).tolist()
        assert weights == pytest.approx(theirs, rel=0.006)


def test_a_batch_may_have_one_hint_each() -> None:
    hints = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])
    together = run(UNET.wrapped(control(hint=hints)), batch=2)
    alone = run(UNET.wrapped(control(hint=hints[:1])), batch=1)
    torch.testing.assert_close(together[:1], alone, atol=1e-3, rtol=1e-3)
    shared = run(UNET.wrapped(control(hint=hints[:1])), batch=2)
    torch.testing.assert_close(shared[:1], alone, atol=1e-3, rtol=1e-3)
    assert (shared[1] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("batch", [1, 3])
def test_a_number_of_hints_that_fits_no_batch_is_refused(batch: int) -> None:
    unet = UNET.wrapped(control(hint=torch.rand(2, 3, 64, 64)))
    schedule = make_schedule("normal", UNET.noise, 1)
    both = toys.conditioning(0), toys.conditioning(1)
    with pytest.raises(ValueError) as caught:  # before the first step: it may never act
        Guided(unet, schedule, *both, cfg=2.0, batch=batch)
    expected = f"toy: 2 hints for {batch} latents; give one hint, or one for each latent"
    assert str(caught.value) == expected


@pytest.mark.parametrize("size", [(8, 12), (9, 7), (5, 11)])
def test_sizes_that_do_not_halve_evenly_work(size: tuple[int, int]) -> None:
    schedule = make_schedule("normal", UNET.noise, 1)
    positive, negative = toys.conditioning(0), toys.conditioning(1)
    guided = Guided(UNET.wrapped(control()), schedule, positive, negative, cfg=2.0, batch=1)
    with torch.inference_mode():
        assert guided(torch.zeros(1, 4, *size), 1.0, 0).shape == (1, 4, *size)


def test_a_hint_of_the_right_size_is_not_touched() -> None:
    assert fit_hint(HINT, (64, 64)) is HINT


def test_a_hint_of_another_shape_is_cut_in_the_middle_and_resampled() -> None:
    wide = torch.zeros(1, 3, 32, 96)
    wide[..., 32:64] = 1.0
    assert torch.equal(fit_hint(wide, (64, 64)), torch.ones(1, 3, 64, 64))


def test_modes_differ_in_what_they_do_to_guidance() -> None:
    results = [
        run(UNET.wrapped(control(mode=mode))) for mode in ("balanced", "soft", "cond_only", "guess")
    ]
    for i, a in enumerate(results):
        for b in results[i + 1 :]:
            assert not torch.allclose(a, b, atol=1e-4)


def test_the_active_steps_are_known_before_the_run() -> None:
    schedule = make_schedule("karras", UNET.noise, 20)
    unet = UNET.wrapped(control(window=Window(0.2, 0.8))).wrapped(control(strength=0.0))
    assert unet.describe_layers(schedule) == ["toy: steps 6 to 12 of 20", "toy: no step of 20"]


def hint_image() -> Image:
    """Return the hint as a picture."""
    return Image(HINT.permute(0, 2, 3, 1).numpy().astype(np.float32))


def test_the_node_wraps_what_it_is_given() -> None:
    unet = apply_controlnet(UNET, ControlNet(MODEL, "sd1", "toy"), hint_image(), strength=0.5)
    assert torch.equal(once(unet), once(UNET.wrapped(control(strength=0.5))))


def test_the_node_refuses_another_family() -> None:
    with pytest.raises(ValueError) as caught:
        apply_controlnet(UNET, ControlNet(MODEL, "sdxl", "toy"), hint_image())
    assert str(caught.value) == (
        "apply_controlnet: the ControlNet is for sdxl and the UNet is sd1; "
        "use two files of one family"
    )


def test_the_node_refuses_a_window_turned_round() -> None:
    with pytest.raises(ValueError, match=r"start 0\.8 is after end 0\.2; exchange the two"):
        apply_controlnet(UNET, ControlNet(MODEL, "sd1"), hint_image(), start=0.8, end=0.2)


def test_a_hint_that_is_not_finite_cannot_be_made() -> None:
    pixels = np.full((1, 8, 8, 3), np.nan, np.float32)
    with pytest.raises(ValueError, match="values from nan to nan"):
        Image(pixels)
