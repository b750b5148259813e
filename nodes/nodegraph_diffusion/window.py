"""When a control acts: a share of the way from noise to picture becomes steps of the run."""

import math
from dataclasses import dataclass
from typing import Literal

from .schedule import Schedule, TrainedNoise

Rule = Literal["sigma", "step"]


@dataclass(frozen=True)
class Window:
    """From `start` to `end` of the way from noise (0) to picture (1); equal ends are no step.

    Rule "sigma" reads the way in timesteps of training and compares noise levels, both ends
    included: it means the same for every sampler and spacing, and for a run with `denoise` below 1.
    Rule "step" counts the steps that are executed: step i of n acts if start <= i / n and (i + 1) /
    n <= end, as diffusers does.
    """

    start: float = 0.0
    end: float = 1.0
    rule: Rule = "sigma"

    def __post_init__(self) -> None:
        """Raise ValueError for ends outside 0..1 or in the wrong order."""
        if not (0.0 <= self.start <= 1.0 and 0.0 <= self.end <= 1.0):
            raise ValueError(
                f"window: {self.start}..{self.end} leaves 0..1; give shares of the run"
            )
        if self.start > self.end:
            raise ValueError(
                f"window: start {self.start} is after end {self.end}; exchange the two"
            )

    def acts(self, sigma: float, index: int, count: int, noise: TrainedNoise) -> bool:
        """Tell whether the control acts at this noise level, in step `index` of `count`."""
        if self.start == self.end:
            return False
        if self.rule == "step":
            return not (index / count < self.start or (index + 1) / count > self.end)
        high = math.inf if self.start <= 0.0 else noise.at(self.start)
        low = 0.0 if self.end >= 1.0 else noise.at(self.end)
        # A level that the schedule interpolates may miss the same level here by a rounding.
        return low * (1 - 1e-9) <= sigma <= high * (1 + 1e-9)

    def steps(self, schedule: Schedule) -> tuple[int, ...]:
        """Return the steps at whose first call the control acts, counted from 0.

        In a part of a run that was split they are counted in the whole run.
        """
        return tuple(
            i
            for i, sigma in enumerate(schedule.sigmas[:-1], start=schedule.first)
            if self.acts(sigma, i, schedule.whole, schedule.noise)
        )
