"""Tiny random networks that fit each other: what `nodegraph test-package` calls nodes with."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from .models.clip import CLIPTextConfig, CLIPTextModel
from .models.controlnet import ControlNetConfig, ControlNetModel
from .models.unet import UNetConfig, UNetModel
from .models.vae import AutoencoderKL, VAEConfig

WIDTH = 8
"""Of the text, in all of them."""

M = TypeVar("M", bound=nn.Module)
_UNET = UNetConfig(widths=(8, 8, 8, 8), blocks=1, heads=2, context_width=WIDTH, norm_groups=4)
_TEXT = CLIPTextConfig(width=WIDTH, inner_width=16, layers=1, heads=2)


def small_unet() -> UNetModel:
    """Build a UNet of Stable Diffusion 1's form, 8 channels wide."""
    return _random(lambda: UNetModel(_UNET))


def small_controlnet() -> ControlNetModel:
    """Build a ControlNet for `small_unet`, whose zero convolutions are not zero."""
    return _random(lambda: ControlNetModel(ControlNetConfig(_UNET, hint_widths=(4, 4, 8, 8))))


def small_vae() -> AutoencoderKL:
    """Build a VAE with latents of 4 channels and an eighth of the size."""
    return _random(lambda: AutoencoderKL(VAEConfig(widths=(4, 4, 8, 8), blocks=1, norm_groups=4)))


def small_text_encoder() -> CLIPTextModel:
    """Build a text encoder of one layer."""
    return _random(lambda: CLIPTextModel(_TEXT))


def _random(build: Callable[[], M]) -> M:
    """Build a frozen network; every weight differs from zero, and is the same each time."""
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
        model = build()
        for weight in model.parameters():
            if not weight.count_nonzero():
                nn.init.normal_(weight, std=0.1)
    return model.eval().requires_grad_(False)
