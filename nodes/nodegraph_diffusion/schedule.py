"""Noise levels: the sigmas a model was trained with, and those a run visits."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

Rounding = Literal["fractional", "integer"]


@dataclass(frozen=True)
class TrainedNoise:
    """The ascending sigmas of training, one per timestep; between two of them, log sigma is linear.

    Source: Karras et al. 2022 (arXiv 2206.00364), sigma = sqrt((1 - alphas_cumprod) /
    alphas_cumprod).
    """

    sigmas: tuple[float, ...]

    @classmethod
    def scaled_linear(
        cls, start: float = 0.00085, end: float = 0.012, count: int = 1000
    ) -> "TrainedNoise":
        """Square roots of beta from `start` to `end`: Stable Diffusion 1, 2 and XL.

        Source: CompVis latent-diffusion, `make_beta_schedule("linear")`.
        """
        low, high = math.sqrt(start), math.sqrt(end)
        kept, sigmas = 1.0, list[float]()
        for i in range(count):
            kept *= 1.0 - (low + (high - low) * i / (count - 1)) ** 2
            sigmas.append(math.sqrt((1.0 - kept) / kept))
        return cls(tuple(sigmas))

    @cached_property
    def log_sigmas(self) -> tuple[float, ...]:
        """The natural logarithms of `sigmas`."""
        return tuple(math.log(sigma) for sigma in self.sigmas)

    @property
    def last(self) -> int:
        """The largest timestep, 999 for Stable Diffusion."""
        return len(self.sigmas) - 1

    def sigma(self, timestep: float) -> float:
        """Return the noise level of a (fractional) timestep; beyond the ends, that of the end."""
        t = min(max(timestep, 0.0), float(self.last))
        low = min(int(t), self.last - 1)
        share = t - low
        logs = self.log_sigmas
        return math.exp((1.0 - share) * logs[low] + share * logs[low + 1])

    def timestep(self, sigma: float) -> float:
        """Return the fractional timestep of a noise level; beyond the ends, that of the end."""
        logs = self.log_sigmas
        log_sigma = math.log(max(sigma, 1e-10))
        low = min(max(bisect_right(logs, log_sigma) - 1, 0), self.last - 1)
        share = (log_sigma - logs[low]) / (logs[low + 1] - logs[low])
        return low + min(max(share, 0.0), 1.0)

    def at(self, share: float) -> float:
        """Return the sigma where `share` of the way from noise (0) to picture (1) is done."""
        return self.sigma((1.0 - share) * self.last)


@dataclass(frozen=True)
class Schedule:
    """The descending sigmas of one run, the closing 0 included, and how they become timesteps.

    A part of a run that was split has its place in the whole: `first` steps come before it, and
    `total` are there in all (None: this is the whole).
    """

    sigmas: tuple[float, ...]
    noise: TrainedNoise
    rounding: Rounding = "fractional"
    first: int = 0
    total: int | None = None

    @property
    def count(self) -> int:
        """The number of steps."""
        return len(self.sigmas) - 1

    @property
    def whole(self) -> int:
        """The number of steps of the whole run that this one is or is a part of."""
        return self.count if self.total is None else self.total

    def timestep(self, sigma: float) -> float:
        """Return what the network is told for `sigma`."""
        t = self.noise.timestep(sigma)
        return float(round(t)) if self.rounding == "integer" else t


def _linspace(first: float, last: float, count: int) -> list[float]:
    if count == 1:
        return [first]
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def normal(noise: TrainedNoise, steps: int) -> list[float]:
    """Space timesteps evenly from the last to the first of training (both visited)."""
    return [noise.sigma(t) for t in _linspace(noise.last, 0.0, steps)]


def karras(noise: TrainedNoise, steps: int, rho: float = 7.0) -> list[float]:
    """Space the rho-th root of sigma evenly between the ends of training.

    Source: Karras et al. 2022 (arXiv 2206.00364), equation 5.
    """
    high, low = noise.sigmas[-1] ** (1 / rho), noise.sigmas[0] ** (1 / rho)
    return [root**rho for root in _linspace(high, low, steps)]


def exponential(noise: TrainedNoise, steps: int) -> list[float]:
    """Space the logarithm of sigma evenly between the ends of training."""
    ends = noise.log_sigmas[-1], noise.log_sigmas[0]
    return [math.exp(log_sigma) for log_sigma in _linspace(*ends, steps)]


def simple(noise: TrainedNoise, steps: int) -> list[float]:
    """Take sigmas of training at even distances, the last first: timestep 999 - int(1000 i / n).

    With a number of steps that divides 1000 this is diffusers' "trailing" spacing.

    Raises:
        ValueError: there are more steps than sigmas.
    """
    count = len(noise.sigmas)
    if steps > count:
        raise ValueError(
            f"scheduler: 'simple' has {count} noise levels and {steps} are needed (denoise below 1 "
            "lays out more steps); use 'normal'"
        )
    return [noise.sigmas[count - 1 - i * count // steps] for i in range(steps)]


def sgm_uniform(noise: TrainedNoise, steps: int) -> list[float]:
    """Space timesteps evenly from the last to the first of training, the first left out."""
    return [noise.sigma(t) for t in _linspace(noise.last, 0.0, steps + 1)[:-1]]


SchedulerName = Literal["normal", "karras", "exponential", "simple", "sgm_uniform"]

SPACINGS: Mapping[str, Callable[[TrainedNoise, int], list[float]]] = MappingProxyType(
    {
        "normal": normal,
        "karras": karras,
        "exponential": exponential,
        "simple": simple,
        "sgm_uniform": sgm_uniform,
    }
)


def make_schedule(
    name: str,
    noise: TrainedNoise,
    steps: int,
    *,
    denoise: float = 1.0,
    rounding: Rounding = "fractional",
) -> Schedule:
    """Lay out a run of `steps` steps.

    With `denoise` below 1 a longer run of int(steps / denoise) steps is laid out and its last
    `steps` are kept, so that the spacing is that of the full run; 0 gives a run of no steps.

    Raises:
        ValueError: an unknown name, no steps, or `denoise` outside 0..1.
    """
    if name not in SPACINGS:
        raise ValueError(f"scheduler: {name!r} is unknown; choose one of {', '.join(SPACINGS)}")
    if steps < 1:
        raise ValueError(f"steps: {steps} is too few; give at least 1")
    if not 0.0 <= denoise <= 1.0:
        raise ValueError(f"denoise: {denoise} is outside 0..1; give the share of noise to add")
    if denoise == 0.0:
        return Schedule((0.0,), noise, rounding)
    # Laying out billions of steps for a denoise of 1e-9 would only stall.
    total = int(min(steps / denoise, 100_000 + steps))
    sigmas = [*SPACINGS[name](noise, total), 0.0]
    return Schedule(tuple(sigmas[-(steps + 1) :]), noise, rounding)
