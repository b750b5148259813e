"""DDIM: back to x0, and out to the next noise level along the same noise."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .ancestral import ancestral_step
from .denoiser import Denoise, Noise


def ddim(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 0.0
) -> Iterator[Tensor]:
    """Return to x0 and add the predicted noise, a part of it replaced by fresh one; yield each x.

    With eta 0 this is Euler's method, with eta 1 Euler's ancestral one, both to rounding.
    Source: Song et al. 2021 (arXiv 2010.02502), equation 12, divided by sqrt(alpha).
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma, i)
        down, up = ancestral_step(sigma, sigma_next, eta)
        x = x0 + (down / sigma) * (x - x0)
        if up > 0.0:
            x = x + up * noise(x)
        yield x
