"""The nodes that load networks from files."""

from pathlib import Path
from typing import Annotated, NamedTuple

import torch

from nodegraph import Context, Family, ModelFile, NodegraphError, node

from .predictor import UNet
from .probe import probe
from .values import VAE, ControlNet, TextEncoder
from .weights import load_checkpoint_file, load_controlnet_file, load_vae_file

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Checkpoint(NamedTuple):
    """What a text-to-image model consists of."""

    unet: Annotated[UNet, Family("F")]
    text_encoder: Annotated[TextEncoder, Family("F")]
    vae: Annotated[VAE, Family("F")]


@node
def load_checkpoint(
    file: Annotated[Path, ModelFile("checkpoint", family="F")], context: Context
) -> Checkpoint:
    """Load a text-to-image model: UNet, text encoder and VAE.

    `file` is a safetensors file in the original layout or a folder in diffusers' layout, given by
    path or by name; `blocks` comes with the package. Pickled files (`.ckpt`) are refused, because
    opening one can run any code.
    """
    unet, vae, text = load_checkpoint_file(file, *placement(context))
    family = family_of_file(file)
    return Checkpoint(UNet(unet, family), TextEncoder(text, family), VAE(vae, family))


@node
def load_controlnet(
    file: Annotated[Path, ModelFile("controlnet", family="F")], context: Context
) -> Annotated[ControlNet, Family("F")]:
    """Load a ControlNet for `apply_controlnet`.

    `file` is a safetensors file in the original or diffusers' layout, or a diffusers folder, given
    by path or by name; `blocks-canny` and `blocks-depth` come with the package.
    """
    model = load_controlnet_file(file, *placement(context))
    return ControlNet(model, family_of_file(file), file.stem)


@node
def load_vae(
    file: Annotated[Path, ModelFile("vae", family="F")], context: Context
) -> Annotated[VAE, Family("F")]:
    """Load a VAE by itself, to use instead of a checkpoint's own.

    `file` is a safetensors file in the original or diffusers' layout, or a diffusers folder, given
    by path or by name.
    """
    return VAE(load_vae_file(file, *placement(context)), family_of_file(file))


def placement(context: Context) -> tuple[torch.dtype, torch.device]:
    """Return the dtype and device that a run asks for.

    "auto" is float32 on a CPU; on an accelerator bfloat16 where it has that, else float16.

    Raises:
        NodegraphError: the device or dtype does not exist here.
    """
    try:
        device = torch.device(context.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises the second without CUDA
        raise NodegraphError(f"device {context.device!r}: is not here; use --device cpu") from error
    if context.dtype != "auto":
        if context.dtype not in DTYPES:
            raise NodegraphError(f"dtype {context.dtype!r}: use one of {', '.join(DTYPES)}")
        return DTYPES[context.dtype], device
    if device.type == "cpu":
        return torch.float32, device
    if device.type == "cuda":
        with torch.cuda.device(device):  # the one asked for, which need not be the first
            bfloat = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if bfloat else torch.float16, device
    return torch.bfloat16, device


def family_of_file(path: Path) -> str:
    """Return the model family of a file, "unknown" where its header does not tell."""
    return str((probe(path) or {}).get("family", "unknown"))
