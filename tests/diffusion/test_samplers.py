"""Samplers against diffusers' schedulers on a denoiser that is known exactly."""

import math
from collections.abc import Sequence

import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor

from nodegraph_diffusion.samplers import SAMPLERS
from nodegraph_diffusion.samplers.denoiser import clean_sample, network_input
from nodegraph_diffusion.schedule import TrainedNoise, make_schedule

# diffusers has not caught up with numpy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

NOISE = TrainedNoise.scaled_linear()
SPREAD = 0.5
"""Standard deviation of the data, a Gaussian around 1: its posterior mean is the exact denoiser."""


def exact(x: Tensor, sigma: float, index: int = 0) -> Tensor:
    """Return the mean of clean samples that x may have come from."""
    share = SPREAD**2 / (SPREAD**2 + sigma**2)
    return share * x + (1 - share)


def start(sigma: float) -> Tensor:
    """Return float64 noise at a level."""
    return (
        torch.randn(4096, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * sigma
    )


def walk(name: str, sigmas: Sequence[float]) -> Tensor:
    """Sample the Gaussian."""
    *_, x = SAMPLERS[name](exact, start(sigmas[0]), sigmas, torch.randn_like)
    return x


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("dpmpp_2m", 2)])
def test_error_falls_with_the_order_of_the_method(name: str, order: int) -> None:
    def error(steps: int) -> float:
        sigmas = [20 * 0.001 ** (i / steps) for i in range(steps + 1)]
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
    latents = list(SAMPLERS[name](denoise, start(sigmas[0]), sigmas, torch.randn_like))
    assert len(latents) == 9
    assert asked == [(sigma, i) for i, sigma in enumerate(sigmas[:-1])]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_run_stopped_early_is_the_start_of_the_whole_run(name: str) -> None:
    sigmas = make_schedule("normal", NOISE, 8).sigmas
    whole = list(SAMPLERS[name](exact, start(sigmas[0]), sigmas, torch.randn_like))
    *_, first = SAMPLERS[name](exact, start(sigmas[0]), sigmas[:5], torch.randn_like)
    assert torch.equal(first, whole[3])


def test_euler_equals_diffusers() -> None:
    theirs = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        timestep_spacing="linspace",
    )  # fmt: skip
    theirs.set_timesteps(20)
    sigmas = [float(sigma) for sigma in theirs.sigmas]
    x = start(sigmas[0]).float()
    for t, sigma in zip(theirs.timesteps, sigmas, strict=False):
        eps = (x - exact(x, sigma)) / sigma
        x = theirs.step(eps, t, x, return_dict=False)[0]
    # Theirs computes in float32.
    torch.testing.assert_close(walk("euler", sigmas).float(), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [10, 20, 30])
def test_dpmpp_2m_karras_equals_diffusers(steps: int) -> None:
    theirs = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
    )
    theirs.set_timesteps(steps)
    sigmas = [float(sigma) for sigma in theirs.sigmas]
    x = start(sigmas[0]).float() / math.hypot(1, sigmas[0])  # theirs keeps x at unit variance
    for t, sigma in zip(theirs.timesteps, sigmas, strict=False):
        noisy = x * math.hypot(1, sigma)
        eps = (noisy - exact(noisy, sigma)) / sigma
        x = theirs.step(eps, t, x, return_dict=False)[0]
    # The published difference of two float32 implementations is 2.6e-6.
    torch.testing.assert_close(walk("dpmpp_2m", sigmas).float(), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_clean_sample_inverts_what_the_network_is_trained_on(prediction: str) -> None:
    sigma = 3.0
    x0, eps = torch.randn(2, 100, dtype=torch.float64)
    x = x0 + sigma * eps
    alpha, beta = 1 / math.hypot(1, sigma), sigma / math.hypot(1, sigma)
    target = eps if prediction == "eps" else alpha * eps - beta * x0
    torch.testing.assert_close(network_input(x, sigma), alpha * x0 + beta * eps)
    torch.testing.assert_close(clean_sample(x, target, sigma, prediction), x0)  # type: ignore[arg-type]
