"""The nodes that write trained models to files, in half precision and the original layout."""

from pathlib import Path
from typing import Annotated

from nodegraph import Destination, Family, node
from nodegraph_diffusion import VAE, ControlNet, TextEncoder, UNet, weights


@node(cache=False)
def save_checkpoint(
    unet: Annotated[UNet, Family("F")],
    text_encoder: Annotated[TextEncoder, Family("F")],
    vae: VAE,
    *,
    file: Annotated[Path, Destination()],
) -> Path:
    """Write UNet, text encoder and VAE to one safetensors file that `load_checkpoint` reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights.save_checkpoint(file, unet.model, vae.model, text_encoder.model, unet.family)
    return file


@node(cache=False)
def save_controlnet(
    controlnet: Annotated[ControlNet, Family("F")],
    *,
    file: Annotated[Path, Destination()],
) -> Path:
    """Write a ControlNet to a safetensors file that `load_controlnet` reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights.save_controlnet(file, controlnet.model, controlnet.family)
    return file
