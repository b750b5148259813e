"""Stable Diffusion and ControlNet as nodes: checkpoints, text, control, sampling, decoding."""

from .coding import decode, empty_latent, encode
from .conditioning import Conditioning
from .control_node import apply_controlnet
from .latent import Latent
from .loading import load_checkpoint, load_controlnet, load_vae
from .predictor import UNet
from .sampling import sample
from .text import encode_text
from .values import VAE, ControlNet, TextEncoder

__all__ = [
    "Conditioning",
    "ControlNet",
    "Latent",
    "TextEncoder",
    "UNet",
    "VAE",
    "apply_controlnet",
    "decode",
    "empty_latent",
    "encode",
    "encode_text",
    "load_checkpoint",
    "load_controlnet",
    "load_vae",
    "sample",
]
