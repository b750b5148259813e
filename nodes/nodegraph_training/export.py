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
    record: str = "",
    *,
    file: Annotated[Path, Destination()],
) -> Path:
    """Write UNet, text encoder and VAE to one safetensors file that `load_checkpoint` reads.

    `record`, such as the one that a training node hands out, is kept in the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    weights.save_checkpoint(
        file, unet.model, vae.model, text_encoder.model, unet.family, notes=_notes(record)
    )
    return file


@node(cache=False)
def save_controlnet(
    controlnet: Annotated[ControlNet, Family("F")],
    record: str = "",
    *,
    file: Annotated[Path, Destination()],
) -> Path:
    """Write a ControlNet to a safetensors file that `load_controlnet` reads.

    `record`, such as the one that a training node hands out, is kept in the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    weights.save_controlnet(file, controlnet.model, controlnet.family, notes=_notes(record))
    return file


def _notes(record: str) -> dict[str, str]:
    return {"nodegraph.training": record} if record else {}
