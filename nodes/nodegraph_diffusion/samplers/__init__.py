"""The samplers by name: one file each, all with one signature."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal, get_args

from .ddim import ddim
from .denoiser import Sampler
from .dpmpp_2m import dpmpp_2m
from .dpmpp_2m_sde import dpmpp_2m_sde
from .euler import euler
from .euler_ancestral import euler_ancestral
from .heun import heun
from .lcm import lcm
from .uni_pc import uni_pc

SamplerName = Literal[
    "euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "uni_pc", "lcm"
]

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "euler": euler,
        "euler_ancestral": euler_ancestral,
        "heun": heun,
        "dpmpp_2m": dpmpp_2m,
        "dpmpp_2m_sde": dpmpp_2m_sde,
        "ddim": ddim,
        "uni_pc": uni_pc,
        "lcm": lcm,
    }
)

WITH_ETA = MappingProxyType(
    {"euler_ancestral": euler_ancestral, "dpmpp_2m_sde": dpmpp_2m_sde, "ddim": ddim}
)
"""The samplers that take an eta: how much of each step's noise is drawn anew."""

assert set(SAMPLERS) == set(get_args(SamplerName))


def make_sampler(name: str, eta: float | None = None) -> Sampler:
    """Return a sampler, with an eta of one's own where one is given.

    Raises:
        ValueError: the sampler takes no eta.
    """
    if eta is None:
        return SAMPLERS[name]
    if name not in WITH_ETA:
        raise ValueError(f"eta: {name!r} has none; leave it out, or use {', '.join(WITH_ETA)}")
    return partial(WITH_ETA[name], eta=eta)
