"""Euler's method on the probability flow."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .denoiser import Denoise, Noise


def euler(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Iterator[Tensor]:
    """Follow the slope d = (x - x0) / sigma to the next noise level; yield x after each step.

    Source: Karras et al. 2022 (arXiv 2206.00364), algorithm 2 without the correction and churn.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        d = (x - denoise(x, sigma, i)) / sigma
        x = x + d * (sigma_next - sigma)
        yield x
