"""Noise levels and schedules against published numbers and diffusers."""

import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

from nodegraph_diffusion.schedule import TrainedNoise, make_schedule

# diffusers has not caught up with numpy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

NOISE = TrainedNoise.scaled_linear()


def euler_of_diffusers(karras: bool) -> EulerDiscreteScheduler:
    """Return diffusers' Euler with linspace spacing, set to 20 steps."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="linspace",
        use_karras_sigmas=karras,
    )
    scheduler.set_timesteps(20)
    return scheduler


def test_ends_of_training_are_the_published_ones() -> None:
    assert NOISE.sigmas[0] == pytest.approx(0.0291672, abs=1e-6)
    assert NOISE.sigmas[-1] == pytest.approx(14.6146, abs=1e-4)


@pytest.mark.parametrize(
    ("share", "sigma"), [(0.1, 8.307), (0.2, 5.092), (0.3, 3.325), (0.5, 1.616), (0.8, 0.571)]
)
def test_shares_of_the_way_have_the_published_sigmas(share: float, sigma: float) -> None:
    assert NOISE.at(share) == pytest.approx(sigma, abs=5e-4)


@pytest.mark.parametrize("timestep", [0.0, 0.25, 1.0, 498.7, 998.5, 999.0])
def test_timestep_undoes_sigma(timestep: float) -> None:
    assert NOISE.timestep(NOISE.sigma(timestep)) == pytest.approx(timestep, abs=1e-9)


def test_levels_beyond_the_ends_are_clamped() -> None:
    assert NOISE.timestep(100.0) == 999.0
    assert NOISE.timestep(0.0) == 0.0
    assert NOISE.sigma(2000.0) == pytest.approx(NOISE.sigmas[-1])


def test_normal_of_20_steps_equals_diffusers_linspace() -> None:
    schedule = make_schedule("normal", NOISE, 20)
    theirs = euler_of_diffusers(karras=False)
    assert schedule.sigmas[:2] == pytest.approx((14.6146, 10.7468), abs=1e-4)
    assert schedule.sigmas[-3:] == pytest.approx((0.2322, 0.0292, 0.0), abs=1e-4)
    # diffusers interpolates sigma, we its logarithm: 1.7e-5 apart.
    assert schedule.sigmas == pytest.approx(theirs.sigmas.tolist(), rel=2e-5)
    timesteps = [schedule.timestep(sigma) for sigma in schedule.sigmas[:-1]]
    assert timesteps == pytest.approx(theirs.timesteps.tolist(), abs=1e-4)


def test_karras_equals_diffusers() -> None:
    schedule = make_schedule("karras", NOISE, 20)
    # diffusers computes in float32.
    assert schedule.sigmas == pytest.approx(
        euler_of_diffusers(karras=True).sigmas.tolist(), abs=2e-5
    )


@pytest.mark.parametrize("name", ["normal", "karras"])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_schedules_descend_from_the_first_sigma_to_zero(name: str, steps: int) -> None:
    sigmas = torch.tensor(make_schedule(name, NOISE, steps).sigmas)
    assert len(sigmas) == steps + 1
    assert float(sigmas[0]) == pytest.approx(14.6146, abs=1e-4)
    assert float(sigmas[-1]) == 0.0
    assert bool((sigmas.diff() < 0).all())


def test_denoise_keeps_the_tail_of_a_longer_run() -> None:
    half = make_schedule("normal", NOISE, 10, denoise=0.5)
    assert half.sigmas == make_schedule("normal", NOISE, 20).sigmas[10:]


def test_denoise_of_nothing_has_no_step() -> None:
    assert make_schedule("normal", NOISE, 10, denoise=0.0).count == 0


def test_tiny_denoise_ends_in_bounded_time() -> None:
    assert make_schedule("karras", NOISE, 5, denoise=1e-12).count == 5


def test_integer_timesteps_are_whole() -> None:
    schedule = make_schedule("karras", NOISE, 20, rounding="integer")
    assert all(schedule.timestep(sigma).is_integer() for sigma in schedule.sigmas[:-1])


@pytest.mark.parametrize(
    ("name", "steps", "denoise", "message"),
    [
        ("nomal", 20, 1.0, "scheduler: 'nomal' is unknown; choose one of normal, karras"),
        ("normal", 0, 1.0, "steps: 0 is too few; give at least 1"),
        ("normal", 20, 1.5, "denoise: 1.5 is outside 0..1; give the share of noise to add"),
        (
            "normal",
            20,
            float("nan"),
            "denoise: nan is outside 0..1; give the share of noise to add",
        ),
    ],
)
def test_nonsense_is_refused(name: str, steps: int, denoise: float, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make_schedule(name, NOISE, steps, denoise=denoise)
    assert str(caught.value) == message
