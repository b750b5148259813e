"""Stable Diffusion and ControlNet as nodes: checkpoints, text, control, sampling, decoding."""

from .coding import decode, empty_latent, encode
from .conditioning import Conditioning
from .control_node import apply_controlnet
from .latent import Latent
from .latent_nodes import composite_latent, repeat_latent, resize_latent
from .loading import load_checkpoint, load_controlnet, load_vae
from .predictor import UNet
from .sampling import sample
from .sigmas import Sigmas, custom_sigmas, make_sigmas, split_sigmas
from .text import encode_text
from .values import VAE, ControlNet, TextEncoder

__all__ = [
    "Conditioning",
    "ControlNet",
    "Latent",
    "Sigmas",
    "TextEncoder",
    "UNet",
    "VAE",
    "apply_controlnet",
    "composite_latent",
    "custom_sigmas",
    "decode",
    "empty_latent",
    "encode",
    "encode_text",
    "load_checkpoint",
    "load_controlnet",
    "load_vae",
    "make_sigmas",
    "repeat_latent",
    "resize_latent",
    "sample",
    "split_sigmas",
]
