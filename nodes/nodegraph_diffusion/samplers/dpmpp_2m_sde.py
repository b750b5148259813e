"""DPM-Solver++(2M) of the stochastic equation: second order in x0, fresh noise in each step."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .denoiser import Denoise, Noise

LEAST_RATIO = 1e-3
"""Below it the last step was so short that fresh noise, not the slope, is in its difference."""


def dpmpp_2m_sde(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0
) -> Iterator[Tensor]:
    """Solve the linear part, extrapolate x0 from two steps, add the noise of the step; yield x.

    The midpoint form. The noise of each step is drawn independently from the run's generator, not
    from a Brownian path: with other steps it is other noise. With eta 0 this is `dpmpp_2m`.
    Source: Lu et al. 2022 (arXiv 2211.01095), appendix E, SDE-DPM-Solver++(2M); eta as in
    k-diffusion, `sample_dpmpp_2m_sde`.
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
        r = h_last / h
        if x0_last is not None and r > LEAST_RATIO:
            d = x0 + (x0 - x0_last) / (2.0 * r)
        x = (sigma_next / sigma) * math.exp(-eta * h) * x - math.expm1(-(1.0 + eta) * h) * d
        if eta > 0.0:
            x = x + sigma_next * math.sqrt(-math.expm1(-2.0 * eta * h)) * noise(x)
        x0_last, h_last = x0, h
        yield x
