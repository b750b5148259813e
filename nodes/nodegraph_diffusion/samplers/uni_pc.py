"""UniPC of order two: a predictor, and a corrector that costs no call of its own."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from .denoiser import Denoise, Noise


@dataclass(frozen=True)
class _Past:
    """The step before: where it began, what was predicted there, and how far it went."""

    x: Tensor
    x0: Tensor
    h: float
    x0_before: Tensor | None
    ratio: float
    """The length of the step before that one over this one's, in lambda."""


def uni_pc(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Iterator[Tensor]:
    """Correct x with the prediction just made there, then predict the next x; yield each one.

    The predictor is that of `dpmpp_2m`; the corrector repeats the last step with the prediction at
    its end and is of third order. The first step and the one to sigma 0 are of first order.
    Source: Zhao et al. 2023 (arXiv 2302.04867), UniPC-2 with B2(h) = exp(h) - 1 on x0, as
    diffusers' default.
    """
    past: _Past | None = None
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma, i)
        if past is not None:
            x = _corrected(past, x0)
        if sigma_next == 0.0:
            yield x0
            return
        h = math.log(sigma / sigma_next)
        ratio = past.h / h if past else 0.0
        d = x0 if past is None else x0 + (x0 - past.x0) / (2.0 * ratio)
        past = _Past(x, x0, h, past.x0 if past else None, ratio)
        x = math.exp(-h) * x - math.expm1(-h) * d
        yield x


def _corrected(past: _Past, x0: Tensor) -> Tensor:
    """Take the last step again, now that x0 at its end is known."""
    h, phi_1 = past.h, math.expm1(-past.h)
    end = 0.5
    d = past.x0
    if past.x0_before is not None:
        # Both differences of x0 have to give the exact integrals of 1 and of lambda.
        first = (phi_1 / -h - 1.0) / phi_1
        second = 2.0 * ((phi_1 / -h - 1.0) / -h - 0.5) / phi_1
        start = (first - second) / (1.0 + past.ratio)
        end = first - start
        d = d + start * (past.x0_before - past.x0) / -past.ratio
    d = d + end * (x0 - past.x0)
    return math.exp(-h) * past.x - phi_1 * d
