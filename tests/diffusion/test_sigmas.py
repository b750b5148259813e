"""Noise levels as values: made, given, split, stored."""

import math
from pathlib import Path

import pytest

from nodegraph_diffusion import custom_sigmas, make_sigmas, split_sigmas
from nodegraph_diffusion.schedule import Schedule, make_schedule
from nodegraph_diffusion.sigmas import Sigmas, SigmasCodec
from nodegraph_diffusion.window import Window
from tests.diffusion import toys

UNET = toys.unet()


def test_made_levels_are_those_of_the_schedule() -> None:
    made = make_sigmas(UNET, scheduler="sgm_uniform", steps=7, denoise=0.5)
    assert made.levels == make_schedule("sgm_uniform", UNET.noise, 7, denoise=0.5).sigmas
    assert (made.count, made.first, made.whole) == (7, 0, 7)


def test_levels_of_ones_own_are_taken_as_they_are() -> None:
    assert custom_sigmas(levels=[14, 3.5, 0]).levels == (14, 3.5, 0)


@pytest.mark.parametrize("step", [0, 1, 7, 10])
def test_parts_meet_at_one_level_and_know_their_place(step: int) -> None:
    whole = make_sigmas(UNET, steps=10)
    high, low = split_sigmas(whole, step=step)
    assert high.levels[-1] == low.levels[0] == whole.levels[step]
    assert high.levels + low.levels[1:] == whole.levels
    assert (high.first, high.count, high.whole) == (0, step, 10)
    assert (low.first, low.count, low.whole) == (step, 10 - step, 10)


def test_a_part_can_be_split_again() -> None:
    _, low = split_sigmas(make_sigmas(UNET, steps=10), step=4)
    middle, end = split_sigmas(low, step=3)
    assert (middle.first, middle.count, middle.whole) == (4, 3, 10)
    assert (end.first, end.count, end.whole) == (7, 3, 10)


@pytest.mark.parametrize("rule", ["sigma", "step"])
@pytest.mark.parametrize("step", [0, 3, 11, 20])
def test_windows_mean_the_same_in_parts_as_in_the_whole(rule: str, step: int) -> None:
    whole = make_sigmas(UNET, steps=20)
    window = Window(0.2, 0.8, rule)  # type: ignore[arg-type]

    def steps(part: Sigmas) -> tuple[int, ...]:
        return window.steps(Schedule(part.levels, UNET.noise, first=part.first, total=part.total))

    high, low = split_sigmas(whole, step=step)
    assert steps(high) + steps(low) == steps(whole)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((), "sigmas: there is none; give at least one noise level"),
        ((1.0, 2.0), "sigmas: 2.0 in place 1 follows 1.0; let each be less than the one before"),
        ((1.0, 1.0), "sigmas: 1.0 in place 1 follows 1.0; let each be less than the one before"),
        ((1.0, -1.0), "sigmas: -1 in place 1 is no noise level; use 0, or 1e-06 to 1e+06"),
        ((math.nan, 0.0), "sigmas: nan in place 0 is no noise level; use 0, or 1e-06 to 1e+06"),
        ((math.inf, 0.0), "sigmas: inf in place 0 is no noise level; use 0, or 1e-06 to 1e+06"),
        ((1e7, 0.0), "sigmas: 1e+07 in place 0 is no noise level; use 0, or 1e-06 to 1e+06"),
        ((1.0, 1e-9), "sigmas: 1e-09 in place 1 is no noise level; use 0, or 1e-06 to 1e+06"),
    ],
)
def test_levels_that_are_none_are_refused(levels: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        custom_sigmas(levels=list(levels))
    assert str(caught.value) == message


def test_a_split_after_the_end_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        split_sigmas(make_sigmas(UNET, steps=4), step=5)
    assert str(caught.value) == "split_sigmas: step 5 is after the last of 4; split before it"


def test_a_place_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="sigmas: 2 steps from 9 on are no part of 10; split"):
        Sigmas((2.0, 1.0, 0.0), first=9, total=10)


def test_levels_are_stored_told_apart_and_described(tmp_path: Path) -> None:
    high, low = split_sigmas(make_sigmas(UNET, steps=10), step=4)
    SigmasCodec.dump(low, tmp_path)
    assert SigmasCodec.restore(tmp_path) == low
    alone = Sigmas(low.levels)
    assert len({SigmasCodec.digest(value) for value in (high, low, alone)}) == 3
    assert SigmasCodec.digest(SigmasCodec.restore(tmp_path)) == SigmasCodec.digest(low)
    assert SigmasCodec.describe(low) == f"6 steps, {low.levels[0]:.4g} to 0, 5 to 10 of 10"
    assert SigmasCodec.describe(alone) == f"6 steps, {low.levels[0]:.4g} to 0"
    assert SigmasCodec.size(low) == 56


def test_levels_are_written_as_json(tmp_path: Path) -> None:
    (path,) = SigmasCodec.write(custom_sigmas(levels=[2, 1, 0]), tmp_path / "sigmas", None)
    assert path == tmp_path / "sigmas.json"
    assert path.read_text() == '{"first": 0, "levels": [2, 1, 0], "total": null}'
