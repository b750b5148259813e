"""DPM-Solver++(2M): second order from the last two predictions, one call per step."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .denoiser import Denoise, Noise


def dpmpp_2m(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise
) -> Iterator[Tensor]:
    """Solve exactly for the linear part and extrapolate x0 from two steps; yield x after each.

    The first step and the one to sigma 0 are of first order (the latter returns x0 itself).
    Source: Lu et al. 2022 (arXiv 2211.01095), algorithm 2, in lambda = -log(sigma).
    """
    x0_last: Tensor | None = None
    h_last = 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma, i)
        if sigma_next == 0.0:
            yield x0
            return
        h = math.log(sigma / sigma_next)
        d = x0
        if x0_last is not None:
            r = h_last / h
            d = x0 + (x0 - x0_last) / (2.0 * r)
        x = (sigma_next / sigma) * x - math.expm1(-h) * d
        x0_last, h_last = x0, h
        yield x
