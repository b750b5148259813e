"""Samplers on denoisers that are known exactly: against diffusers, by order, by distribution."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import (
    EulerAncestralDiscreteScheduler,
)
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from nodegraph_diffusion.samplers import SAMPLERS, WITH_ETA, make_sampler
from nodegraph_diffusion.samplers.denoiser import Denoise, Noise, clean_sample, network_input
from nodegraph_diffusion.schedule import TrainedNoise, make_schedule

# diffusers has not caught up with numpy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

NOISE = TrainedNoise.scaled_linear()
SPREAD = 0.5
"""Standard deviation of the data, a Gaussian around 1: its posterior mean is the exact denoiser."""

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
DETERMINISTIC = ["ddim", "dpmpp_2m", "euler", "heun", "uni_pc"]


def exact(x: Tensor, sigma: float, index: int = 0) -> Tensor:
    """Return the mean of clean samples that x may have come from."""
    share = SPREAD**2 / (SPREAD**2 + sigma**2)
    return share * x + (1 - share)


def mixture(x: Tensor, sigma: float, index: int = 0) -> Tensor:
    """Return that mean for two Gaussians of spread 0.3 around -1 and 1: it bends."""
    variance = 0.3**2 + sigma**2
    return (0.3**2 * x + sigma**2 * torch.tanh(x / variance)) / variance


def consistent(x: Tensor, sigma: float, index: int = 0) -> Tensor:
    """Return where the flow of the Gaussian takes x: what a consistency model learns."""
    return 1 + (x - 1) * SPREAD / math.hypot(SPREAD, sigma)


def start(sigma: float, rows: int = 64) -> Tensor:
    """Return float64 noise (rows, 64) at a level."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 64, generator=generator, dtype=torch.float64) * sigma


def seeded(seed: int = 1) -> Noise:
    """Return a source of float32 noise, as diffusers draws it."""
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=generator)


def walk(
    name: str,
    sigmas: Sequence[float],
    denoise: Denoise = exact,
    eta: float | None = None,
) -> Tensor:
    """Sample with the noise of seed 1."""
    *_, x = make_sampler(name, eta)(denoise, start(sigmas[0]), sigmas, seeded())
    return x


def geometric(steps: int) -> list[float]:
    """Return levels from 20 to 0.02 at even ratios."""
    return [20 * 0.001 ** (i / steps) for i in range(steps + 1)]


@pytest.mark.parametrize(
    ("name", "order"),
    # Zhao et al.: the corrector raises the order of UniP-2 by one.
    [("euler", 1), ("ddim", 1), ("heun", 2), ("dpmpp_2m", 2), ("uni_pc", 3)],
)
def test_error_falls_with_the_order_of_the_method(name: str, order: int) -> None:
    def error(steps: int) -> float:
        sigmas = geometric(steps)
        scale = [math.hypot(SPREAD, sigma) for sigma in sigmas]
        # The flow of a Gaussian keeps each sample's place in it.
        truth = 1 + (start(sigmas[0]) - 1) * scale[-1] / scale[0]
        return float((walk(name, sigmas) - truth).abs().max())

    measured = math.log2(error(100) / error(200))
    assert measured == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_step_is_yielded_and_asked_for_by_its_index(name: str) -> None:
    asked: list[tuple[float, int]] = []

    def denoise(x: Tensor, sigma: float, index: int) -> Tensor:
        asked.append((sigma, index))
        return exact(x, sigma)

    sigmas = make_schedule("karras", NOISE, 9).sigmas
    latents = list(SAMPLERS[name](denoise, start(sigmas[0]), sigmas, seeded()))
    assert len(latents) == 9
    expected = [(sigma, i) for i, sigma in enumerate(sigmas[:-1])]
    if name == "heun":  # it also asks at the end of each step but the last
        ends = [(sigma, i) for i, sigma in enumerate(sigmas[1:-1])]
        expected = sorted(expected + ends, key=lambda call: (call[1], -call[0]))
    assert asked == expected


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_run_stopped_early_is_the_start_of_the_whole_run(name: str) -> None:
    sigmas = make_schedule("normal", NOISE, 8).sigmas
    whole = list(SAMPLERS[name](exact, start(sigmas[0]), sigmas, seeded()))
    *_, first = SAMPLERS[name](exact, start(sigmas[0]), sigmas[:5], seeded())
    assert torch.equal(first, whole[3])


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_single_step_returns_what_is_predicted(name: str) -> None:
    x = start(10.0)
    (only,) = SAMPLERS[name](mixture, x, [10.0, 0.0], seeded())
    # Euler's rounds in x - (x - x0).
    torch.testing.assert_close(only, mixture(x, 10.0), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_no_step_returns_nothing(name: str) -> None:
    assert list(SAMPLERS[name](mixture, start(10.0), [10.0], seeded())) == []


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_what_flows_in_is_left_alone(name: str) -> None:
    x = start(10.0)
    list(SAMPLERS[name](mixture, x, [10.0, 5.0, 1.0, 0.0], seeded()))
    assert torch.equal(x, start(10.0))


def their_walk(scheduler: Any, sigmas: Sequence[float], *, scaled: bool, **more: Any) -> Tensor:
    """Run diffusers' scheduler on the mixture; `scaled` ones keep x at unit variance."""
    x = start(sigmas[0]).float()
    if scaled:
        x = x / math.hypot(1, sigmas[0])
    generator = torch.Generator().manual_seed(1)
    for t, sigma in zip(scheduler.timesteps, sigmas, strict=False):
        noisy = x * math.hypot(1, sigma) if scaled else x
        eps = (noisy - mixture(noisy, sigma)) / sigma
        if more.get("draws"):
            x = scheduler.step(eps, t, x, generator=generator, return_dict=False)[0]
        else:
            x = scheduler.step(eps, t, x, return_dict=False)[0]
    return x


def same(ours: Tensor, theirs: Tensor, tolerance: float = 2e-5) -> None:
    """Compare with what diffusers computes in float32: about 1e-5 after 20 bent steps."""
    torch.testing.assert_close(ours.float(), theirs, atol=tolerance, rtol=tolerance)


def test_euler_equals_diffusers() -> None:
    theirs = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    theirs.set_timesteps(20)
    sigmas = theirs.sigmas.tolist()
    same(walk("euler", sigmas, mixture), their_walk(theirs, sigmas, scaled=False))


def test_heun_equals_diffusers() -> None:
    theirs = HeunDiscreteScheduler(**BETAS, use_karras_sigmas=True)
    theirs.set_timesteps(20)
    each = theirs.sigmas.tolist()  # twice each level between the ends
    sigmas = sorted(set(each), reverse=True)
    assert len(sigmas) == 21
    same(walk("heun", sigmas, mixture), their_walk(theirs, each, scaled=False))


@pytest.mark.parametrize("steps", [10, 20, 30])
def test_dpmpp_2m_karras_equals_diffusers(steps: int) -> None:
    theirs = DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True)
    theirs.set_timesteps(steps)
    sigmas = theirs.sigmas.tolist()
    same(walk("dpmpp_2m", sigmas, mixture), their_walk(theirs, sigmas, scaled=True))


@pytest.mark.parametrize("steps", [2, 3, 10, 20])
def test_uni_pc_equals_diffusers(steps: int) -> None:
    theirs = UniPCMultistepScheduler(**BETAS, use_karras_sigmas=True)
    theirs.set_timesteps(steps)
    sigmas = theirs.sigmas.tolist()
    same(walk("uni_pc", sigmas, mixture), their_walk(theirs, sigmas, scaled=True))


def test_euler_ancestral_equals_diffusers() -> None:
    theirs = EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    theirs.set_timesteps(20)
    sigmas = theirs.sigmas.tolist()
    ours = walk("euler_ancestral", sigmas, mixture)
    same(ours, their_walk(theirs, sigmas, scaled=False, draws=True))


def test_dpmpp_2m_sde_equals_diffusers() -> None:
    theirs = DPMSolverMultistepScheduler(
        **BETAS, use_karras_sigmas=True, algorithm_type="sde-dpmsolver++"
    )
    theirs.set_timesteps(20)
    sigmas = theirs.sigmas.tolist()
    ours = walk("dpmpp_2m_sde", sigmas, mixture)
    same(ours, their_walk(theirs, sigmas, scaled=True, draws=True))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_equals_diffusers(eta: float) -> None:
    theirs = DDIMScheduler(**BETAS, timestep_spacing="trailing", clip_sample=False)
    theirs.set_timesteps(20)
    sigmas = make_schedule("simple", NOISE, 20).sigmas  # the same timesteps
    assert [NOISE.timestep(sigma) for sigma in sigmas[:-1]] == pytest.approx(
        theirs.timesteps.tolist(), abs=1e-6
    )
    x = start(sigmas[0]).float() / math.hypot(1, sigmas[0])
    generator = torch.Generator().manual_seed(1)
    for t, sigma in zip(theirs.timesteps, sigmas, strict=False):
        noisy = x * math.hypot(1, sigma)
        eps = (noisy - mixture(noisy, sigma)) / sigma
        x = theirs.step(eps, t, x, eta=eta, generator=generator, return_dict=False)[0]
    # Their float32 product of 1000 alphas is off by 1e-5 already.
    same(walk("ddim", sigmas, mixture, eta), x, 1e-4)


def test_lcm_equals_diffusers() -> None:
    theirs = LCMScheduler(**BETAS, clip_sample=False)
    theirs.set_timesteps(4)
    assert theirs.timesteps.tolist() == [999, 759, 499, 259]
    sigmas = [*(NOISE.sigmas[t] for t in theirs.timesteps.tolist()), 0.0]
    # Their boundary scalings at timestep 259 are within 1e-7 of the 0 and 1 that we take.
    same(walk("lcm", sigmas, mixture), their_walk(theirs, sigmas, scaled=True, draws=True), 1e-4)


def test_eta_zero_draws_nothing_and_is_the_deterministic_sampler() -> None:
    sigmas = make_schedule("karras", NOISE, 12).sigmas
    for name, plain in (
        ("euler_ancestral", "euler"),
        ("ddim", "euler"),
        ("dpmpp_2m_sde", "dpmpp_2m"),
    ):

        def never(like: Tensor) -> Tensor:
            raise AssertionError("drawn")

        *_, x = make_sampler(name, 0.0)(mixture, start(sigmas[0]), sigmas, never)
        torch.testing.assert_close(x, walk(plain, sigmas, mixture), atol=1e-10, rtol=0)


def test_ddim_with_eta_one_is_the_ancestral_sampler() -> None:
    sigmas = make_schedule("karras", NOISE, 12).sigmas
    a, b = walk("ddim", sigmas, mixture, 1.0), walk("euler_ancestral", sigmas, mixture)
    torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("name", "eta", "denoise"),
    [
        ("euler_ancestral", 1.0, exact),
        ("ddim", 0.5, exact),
        ("dpmpp_2m_sde", 1.0, exact),
        ("dpmpp_2m_sde", 0.5, exact),
        ("lcm", None, consistent),
    ],
)
def test_samples_are_distributed_as_the_data(
    name: str, eta: float | None, denoise: Denoise
) -> None:
    sigmas = [*geometric(4 if name == "lcm" else 400), 0.0]
    x = 1 + start(math.hypot(SPREAD, sigmas[0]), rows=1600)  # the data under noise
    *_, x = make_sampler(name, eta)(denoise, x, sigmas, seeded())
    # Four standard errors of 102,400 samples, and 1 % that 400 steps leave of the spread.
    assert float(x.mean()) == pytest.approx(1.0, abs=4 * SPREAD / math.sqrt(x.numel()))
    assert float(x.std()) == pytest.approx(SPREAD, rel=0.01)


def test_stochastic_samplers_draw_once_in_each_step_but_the_last() -> None:
    for name in ("euler_ancestral", "dpmpp_2m_sde", "lcm"):
        drawn: list[Tensor] = []

        def draw(like: Tensor, drawn: list[Tensor] = drawn) -> Tensor:
            drawn.append(like)
            return torch.zeros_like(like)

        list(SAMPLERS[name](mixture, start(10.0), [10.0, 5.0, 1.0, 0.0], draw))
        assert len(drawn) == 2


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - set(WITH_ETA)))
def test_an_eta_that_has_no_say_is_refused(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        make_sampler(name, 0.5)
    expected = f"eta: {name!r} has none; leave it out, or use euler_ancestral, dpmpp_2m_sde, ddim"
    assert str(caught.value) == expected


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_clean_sample_inverts_what_the_network_is_trained_on(prediction: str) -> None:
    sigma = 3.0
    x0, eps = torch.randn(2, 100, dtype=torch.float64)
    x = x0 + sigma * eps
    alpha, beta = 1 / math.hypot(1, sigma), sigma / math.hypot(1, sigma)
    target = eps if prediction == "eps" else alpha * eps - beta * x0
    torch.testing.assert_close(network_input(x, sigma), alpha * x0 + beta * eps)
    torch.testing.assert_close(clean_sample(x, target, sigma, prediction), x0)  # type: ignore[arg-type]


def test_a_step_that_is_hardly_one_does_not_blow_up_the_next() -> None:
    sigmas = [14.6146, 14.6145999999, 5.0, 1.0, 0.0]
    for name in SAMPLERS:
        assert walk(name, sigmas, mixture).abs().max() < 10
