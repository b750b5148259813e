"""How a stochastic step shares a noise level between what is kept and what is drawn anew."""

import math


def ancestral_step(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Return (down, up): step down to the first without noise, then add the second's worth of it.

    down^2 + up^2 = sigma_next^2. With eta 1, `up` is the standard deviation of x at `sigma_next`
    given x at `sigma` and x0; with eta 0 nothing is drawn.
    Source: Song et al. 2021 (arXiv 2010.02502), equation 16, rewritten for x = x0 + sigma * eps.
    """
    up = eta * sigma_next * math.sqrt(max(sigma**2 - sigma_next**2, 0.0)) / sigma
    return math.sqrt(max(sigma_next**2 - up**2, 0.0)), up
