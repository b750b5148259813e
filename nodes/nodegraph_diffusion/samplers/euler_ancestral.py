"""Euler's method down below the next noise level, and fresh noise up to it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .ancestral import ancestral_step
from .denoiser import Denoise, Noise


def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0
) -> Iterator[Tensor]:
    """Step to `down` along the slope, add `up` of fresh noise; yield x after each step.

    Source: k-diffusion, `sample_euler_ancestral`; with eta 1 the ancestral sampling of Ho et al.
    2020 (arXiv 2006.11239).
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        d = (x - denoise(x, sigma, i)) / sigma
        down, up = ancestral_step(sigma, sigma_next, eta)
        x = x + d * (down - sigma)
        if up > 0.0:
            x = x + up * noise(x)
        yield x
