"""Writes networks into one safetensors file in the original layout, with their configurations."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from nodegraph import WeightsError
from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL

from .configs import to_json
from .files import CONFIG
from .load import CONTROL, TEXT, UNET, VAE


def save_checkpoint(
    path: Path,
    unet: UNetModel,
    vae: AutoencoderKL,
    text: CLIPTextModel,
    family: str,
    *,
    notes: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the three networks of a text-to-image model; `notes` become metadata.

    Raises:
        WeightsError: a weight is not finite, or not in `dtype`.
    """
    config = {
        "family": family,
        "unet": to_json(unet.config),
        "vae": to_json(vae.config),
        "text": to_json(text.config),
    }
    _write(path, {UNET: unet, VAE: vae, TEXT: text}, config, notes, dtype)


def save_controlnet(
    path: Path,
    controlnet: ControlNetModel,
    family: str,
    *,
    notes: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a ControlNet; `notes` become metadata.

    Raises:
        WeightsError: a weight is not finite, or not in `dtype`.
    """
    config = {"family": family, "controlnet": to_json(controlnet.controlnet_config)}
    _write(path, {CONTROL: controlnet}, config, notes, dtype)


def save_vae(
    path: Path,
    vae: AutoencoderKL,
    family: str,
    *,
    notes: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a VAE alone; `notes` become metadata.

    Raises:
        WeightsError: a weight is not finite, or not in `dtype`.
    """
    _write(path, {VAE: vae}, {"family": family, "vae": to_json(vae.config)}, notes, dtype)


def _write(
    path: Path,
    networks: Mapping[str, nn.Module],
    config: Mapping[str, Any],
    notes: Mapping[str, str] | None,
    dtype: torch.dtype,
) -> None:
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path.name}: is no name for weights; write '{path.stem}.safetensors'")
    tensors = {
        prefix + name: _stored(f"{path.name}: {prefix}{name}", value, dtype)
        for prefix, network in networks.items()
        for name, value in network.state_dict().items()
    }
    metadata = {"format": "pt", CONFIG: json.dumps(config, sort_keys=True), **(notes or {})}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)  # a link there may lead elsewhere
    unfinished.touch()
    mode = unfinished.stat().st_mode  # what the user's umask gives; safetensors would hide the file
    try:
        save_file(tensors, unfinished, metadata)
        unfinished.chmod(mode)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _stored(place: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    value = value.detach().cpu()
    if not value.is_floating_point():
        return value.contiguous()
    value = value.to(dtype).contiguous()
    if not bool(value.isfinite().all()):
        raise WeightsError(f"{place}: is not finite as {dtype}; train on, or save as float32")
    return value
