"""Which steps a control acts in, under both rules, against the published table."""

import pytest

from nodegraph_diffusion.schedule import TrainedNoise, make_schedule
from nodegraph_diffusion.window import Rule, Window

NOISE = TrainedNoise.scaled_linear()


def steps(start: float, end: float, rule: Rule, scheduler: str) -> list[int]:
    """Return the active steps of 20."""
    return list(Window(start, end, rule).steps(make_schedule(scheduler, NOISE, 20)))


@pytest.mark.parametrize(
    ("start", "end", "normal", "karras"),
    [
        (0.0, 0.5, range(10), range(9)),
        (0.5, 1.0, range(10, 20), range(9, 20)),
        (0.2, 0.8, range(4, 16), range(5, 12)),
        (0.0, 0.05, range(1), range(2)),
        (0.1, 0.3, range(2, 6), range(3, 7)),
        (0.0, 1.0, range(20), range(20)),
    ],
)
def test_sigma_windows(start: float, end: float, normal: range, karras: range) -> None:
    assert steps(start, end, "sigma", "normal") == list(normal)
    assert steps(start, end, "sigma", "karras") == list(karras)


@pytest.mark.parametrize(
    ("start", "end", "active"),
    [
        (0.0, 0.5, range(10)),
        (0.5, 1.0, range(10, 20)),
        (0.2, 0.8, range(4, 16)),
        (0.0, 0.05, range(1)),
        (0.1, 0.3, range(2, 6)),
        (0.0, 1.0, range(20)),
    ],
)
def test_step_windows_are_those_of_diffusers(start: float, end: float, active: range) -> None:
    assert steps(start, end, "step", "karras") == list(active)


@pytest.mark.parametrize("at", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("rule", ["sigma", "step"])
def test_equal_ends_are_no_step(at: float, rule: Rule) -> None:
    assert steps(at, at, rule, "normal") == []


def test_a_level_on_the_edge_belongs_to_the_window() -> None:
    schedule = make_schedule("normal", NOISE, 21)  # step 10 is at half of the way exactly
    assert 10 in Window(0.5, 1.0).steps(schedule)
    assert 10 in Window(0.0, 0.5).steps(schedule)


def test_sigma_windows_of_a_shortened_run_stay_where_the_noise_is() -> None:
    tail = make_schedule("normal", NOISE, 10, denoise=0.5)
    assert Window(0.0, 0.5).steps(tail) == ()
    assert Window(0.0, 0.5, "step").steps(tail) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0.6, 0.4, "window: start 0.6 is after end 0.4; exchange the two"),
        (-0.1, 0.4, "window: -0.1..0.4 leaves 0..1; give shares of the run"),
        (0.0, float("nan"), "window: 0.0..nan leaves 0..1; give shares of the run"),
    ],
)
def test_nonsense_is_refused(start: float, end: float, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Window(start, end)
    assert str(caught.value) == message
