"""The sampler of latent consistency models: x0 at once, then noise again."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .denoiser import Denoise, Noise


def lcm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Iterator[Tensor]:
    """Take x0 for the sample and add the next level's worth of fresh noise; yield each x.

    The boundary scalings are left out: c_skip is 0.25 / (100 t^2 + 0.25), below 1e-5 from timestep
    t = 16 on.
    Source: Luo et al. 2023 (arXiv 2310.04378), algorithm 3 (multistep consistency sampling).
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = denoise(x, sigma, i)
        if sigma_next > 0.0:
            x = x + sigma_next * noise(x)
        yield x
