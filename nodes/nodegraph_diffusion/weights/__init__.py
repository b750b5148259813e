"""Model files: reading, checking and writing the weights of every network."""

from .load import Checkpoint, load_checkpoint_file, load_controlnet_file, load_vae_file
from .save import save_checkpoint, save_controlnet, save_vae

__all__ = [
    "Checkpoint",
    "load_checkpoint_file",
    "load_controlnet_file",
    "load_vae_file",
    "save_checkpoint",
    "save_controlnet",
    "save_vae",
]
