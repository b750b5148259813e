"""What a sampler asks of the model, and the algebra from a network's output to a clean sample."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from torch import Tensor

Prediction = Literal["eps", "v"]

Noise = Callable[[Tensor], Tensor]
"""Draw standard noise shaped like a given x, from the run's one generator."""


class Denoise(Protocol):
    """Estimate the clean sample x0 behind `x = x0 + sigma * noise`."""

    def __call__(self, x: Tensor, sigma: float, index: int, /) -> Tensor:
        """Return x0; `index` is the step at hand, the same for all calls of one step."""
        ...


class Sampler(Protocol):
    """Walk from noise to a sample along `sigmas` (descending, 0 last)."""

    def __call__(
        self, denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, /
    ) -> Iterator[Tensor]:
        """Yield x after each step."""
        ...


def network_input(x: Tensor, sigma: float) -> Tensor:
    """Scale x to unit variance, as the network saw it in training: x / sqrt(sigma^2 + 1)."""
    return x / math.hypot(sigma, 1.0)


def clean_sample(x: Tensor, output: Tensor, sigma: float, prediction: Prediction) -> Tensor:
    """Return x0 from the network's output at x.

    Source: eps from Ho et al. 2020 (arXiv 2006.11239); v from Salimans and Ho 2022 (arXiv
    2202.00512), appendix D, both rewritten for x = x0 + sigma * eps.
    """
    if prediction == "eps":
        return x - sigma * output
    return x / (sigma**2 + 1.0) - output * (sigma / math.hypot(sigma, 1.0))
