"""Noise levels and schedules against published numbers and diffusers."""

from itertools import pairwise

import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

from nodegraph_diffusion.schedule import SPACINGS, TrainedNoise, make_schedule

# diffusers has not caught up with numpy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")

NOISE = TrainedNoise.scaled_linear()
ALL = "normal, karras, exponential, simple, sgm_uniform"


def euler_of_diffusers(spacing: str = "linspace", **more: bool) -> EulerDiscreteScheduler:
    """Return diffusers' Euler, set to 20 steps."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing=spacing,
        **more,
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
    theirs = euler_of_diffusers()
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
        euler_of_diffusers(use_karras_sigmas=True).sigmas.tolist(), abs=2e-5
    )


def test_exponential_equals_diffusers() -> None:
    ours = make_schedule("exponential", NOISE, 20).sigmas
    theirs = euler_of_diffusers(use_exponential_sigmas=True)
    assert ours == pytest.approx(theirs.sigmas.tolist(), abs=2e-5)  # computed in float32
    ratios = [b / a for a, b in pairwise(ours[:-1])]
    assert ratios == pytest.approx([ratios[0]] * 19)


def test_simple_of_20_steps_equals_diffusers_trailing() -> None:
    ours = make_schedule("simple", NOISE, 20)
    timesteps = [ours.timestep(sigma) for sigma in ours.sigmas[:-1]]
    assert timesteps == pytest.approx([999 - 50 * i for i in range(20)])
    theirs = euler_of_diffusers("trailing")
    assert theirs.timesteps.tolist() == pytest.approx(timesteps)
    assert ours.sigmas == pytest.approx(theirs.sigmas.tolist(), abs=2e-5)


def test_simple_takes_whole_timesteps_where_steps_do_not_divide_1000() -> None:
    schedule = make_schedule("simple", NOISE, 7)
    timesteps = [schedule.timestep(sigma) for sigma in schedule.sigmas[:-1]]
    assert timesteps == pytest.approx([999 - 1000 * i // 7 for i in range(7)])


def test_sgm_uniform_is_normal_of_one_step_more_without_the_last_level() -> None:
    ours, longer = (
        make_schedule("sgm_uniform", NOISE, 20),
        make_schedule("normal", NOISE, 21),
    )
    assert ours.sigmas == (*longer.sigmas[:20], 0.0)
    timesteps = [ours.timestep(sigma) for sigma in ours.sigmas[:-1]]
    assert timesteps == pytest.approx([999 - 49.95 * i for i in range(20)])


def test_simple_has_no_more_steps_than_training() -> None:
    assert make_schedule("simple", NOISE, 1000).sigmas == (*reversed(NOISE.sigmas), 0.0)
    for steps, denoise in ((1001, 1.0), (20, 0.01)):
        with pytest.raises(ValueError, match="scheduler: 'simple' has 1000 noise levels and"):
            make_schedule("simple", NOISE, steps, denoise=denoise)


@pytest.mark.parametrize("name", sorted(SPACINGS))
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
        ("nomal", 20, 1.0, "scheduler: 'nomal' is unknown; choose one of " + ALL),
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
