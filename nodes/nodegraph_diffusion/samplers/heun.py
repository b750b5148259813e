"""Heun's method on the probability flow: second order, two calls per step."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .denoiser import Denoise, Noise


def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Iterator[Tensor]:
    """Try Euler's step, and take it again with the mean of the slopes at both ends; yield each x.

    The step to sigma 0 is Euler's: there is no slope at its end.
    Source: Karras et al. 2022 (arXiv 2206.00364), algorithm 1.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        d = (x - denoise(x, sigma, i)) / sigma
        tried = x + d * (sigma_next - sigma)
        if sigma_next > 0.0:
            d_next = (tried - denoise(tried, sigma_next, i)) / sigma_next
            tried = x + 0.5 * (d + d_next) * (sigma_next - sigma)
        x = tried
        yield x
