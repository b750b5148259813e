"""The samplers by name: one file each, all with one signature."""

from collections.abc import Mapping
from types import MappingProxyType

from .denoiser import Sampler
from .dpmpp_2m import dpmpp_2m
from .euler import euler

SAMPLERS: Mapping[str, Sampler] = MappingProxyType({"euler": euler, "dpmpp_2m": dpmpp_2m})
