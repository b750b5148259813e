"""Reads networks from files: single ones in the original layout and folders in diffusers'."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from nodegraph import WeightsError
from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig

from . import configs, detect
from .assemble import assemble
from .files import Tensors, open_config, open_folder, open_tensors
from .layout import (
    OLD_VAE_ATTENTION,
    Structure,
    controlnet_table,
    inverse,
    rename,
    unet_table,
    vae_table,
)

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
CONTROL = "control_model."
_CPU = torch.device("cpu")

# What released files hold beside the networks, and nobody needs to sample.
_KNOWN = re.compile(
    r"model_ema\.|control_model\.|\w*alphas_cumprod|betas$|posterior_|logvar$|lvlb_weights$"
    r"|scale_factor$|embedding_manager\.|denoiser\."
    r"|cond_stage_model\.(logit_scale|text_projection)"
)
_IDLE = re.compile(r"(.*\.)?position_ids$|loss\.|model_ema\.|(text_projection|logit_scale)")


class Checkpoint(NamedTuple):
    """The three networks of a text-to-image model."""

    unet: UNetModel
    vae: AutoencoderKL
    text: CLIPTextModel


def load_checkpoint_file(
    path: Path, dtype: torch.dtype = torch.float32, device: torch.device = _CPU
) -> Checkpoint:
    """Read UNet, VAE and text encoder from one file, or from a folder in diffusers' layout.

    Raises:
        WeightsError: the file or folder does not hold them.
    """
    if path.is_dir():
        return _load_folder(path, dtype, device)
    whole = open_tensors(path)
    strange = [
        n for n in whole.shapes if not n.startswith((UNET, VAE, TEXT)) and not _KNOWN.match(n)
    ]
    _refuse_strange(whole.place, strange)
    unet, vae, text = (whole.below(prefix) for prefix in (UNET, VAE, TEXT))
    return Checkpoint(
        _unet(unet, _stated(UNetConfig, whole, "unet") or detect.unet_config(unet), dtype, device),
        _vae(vae, _stated(VAEConfig, whole, "vae") or detect.vae_config(vae), dtype, device),
        _text(text, _stated(CLIPTextConfig, whole, "text"), dtype, device),
    )


def load_controlnet_file(
    path: Path, dtype: torch.dtype = torch.float32, device: torch.device = _CPU
) -> ControlNetModel:
    """Read a ControlNet: `control_model.*` or bare names, or diffusers' in a file or a folder.

    Raises:
        WeightsError: the file or folder does not hold one, or one of a kind that is not supported.
    """
    folder = path.is_dir()
    tensors = open_folder(path) if folder else open_tensors(path)
    whole = tensors
    if any(name.startswith(CONTROL) for name in tensors.shapes):
        tensors = tensors.below(CONTROL)
    _refuse_variants(tensors)
    theirs = "controlnet_mid_block.weight" in tensors.shapes
    if theirs:
        tensors = _renamed(tensors, inverse(controlnet_table(_structure(tensors.shapes))))
    config = _stated(ControlNetConfig, whole, "controlnet") or detect.controlnet_config(tensors)
    if theirs and folder:
        config = configs.controlnet_from_diffusers(config, open_config(path), path.name)
    config = configs.bounded(config, tensors.place)
    return assemble(lambda: ControlNetModel(config), tensors, "ControlNet", dtype, device)


def load_vae_file(
    path: Path, dtype: torch.dtype = torch.float32, device: torch.device = _CPU
) -> AutoencoderKL:
    """Read a VAE: `first_stage_model.*` or bare names, or diffusers' in a file or a folder.

    Raises:
        WeightsError: the file or folder does not hold one.
    """
    if path.is_dir():
        return _load_vae_folder(path, dtype, device)
    whole = open_tensors(path)
    tensors = whole.below(VAE, "")
    if any(name.startswith("encoder.down_blocks.") for name in tensors.shapes):
        tensors = _original_vae(tensors)
    config = _stated(VAEConfig, whole, "vae") or detect.vae_config(tensors)
    return _vae(tensors, config, dtype, device)


def _load_folder(path: Path, dtype: torch.dtype, device: torch.device) -> Checkpoint:
    unet_folder, text_folder = path / "unet", path / "text_encoder"
    for folder in (unet_folder, path / "vae", text_folder):
        if not folder.is_dir():
            raise WeightsError(f"{path.name}: has no folder {folder.name}; download it again")
    unet = open_folder(unet_folder)
    unet = _renamed(unet, inverse(unet_table(_structure(unet.shapes))))
    scheduler = path / "scheduler" / "scheduler_config.json"
    schedule = open_config(scheduler.parent, scheduler.name) if scheduler.is_file() else {}
    unet_config = configs.unet_from_diffusers(
        detect.unet_config(unet), open_config(unet_folder), schedule, f"{path.name}/unet"
    )
    text = open_folder(text_folder)
    text_config = configs.text_from_diffusers(
        detect.text_config(_bare_text(text)), open_config(text_folder), f"{path.name}/text_encoder"
    )
    return Checkpoint(
        _unet(unet, unet_config, dtype, device),
        _load_vae_folder(path / "vae", dtype, device),
        _text(text, text_config, dtype, device),
    )


def _load_vae_folder(path: Path, dtype: torch.dtype, device: torch.device) -> AutoencoderKL:
    tensors = _original_vae(open_folder(path))
    config = configs.vae_from_diffusers(detect.vae_config(tensors), open_config(path), path.name)
    return _vae(tensors, config, dtype, device)


def _unet(
    tensors: Tensors, config: UNetConfig, dtype: torch.dtype, device: torch.device
) -> UNetModel:
    config = configs.bounded(config, tensors.place)
    return assemble(lambda: UNetModel(config), tensors, "UNet", dtype, device)


def _vae(
    tensors: Tensors, config: VAEConfig, dtype: torch.dtype, device: torch.device
) -> AutoencoderKL:
    config = configs.bounded(config, tensors.place)
    return assemble(lambda: AutoencoderKL(config), _used(tensors), "VAE", dtype, device)


def _text(
    tensors: Tensors, config: CLIPTextConfig | None, dtype: torch.dtype, device: torch.device
) -> CLIPTextModel:
    tensors = _bare_text(tensors)
    config = configs.bounded(config or detect.text_config(tensors), tensors.place)
    model = assemble(lambda: CLIPTextModel(config), tensors, "text encoder", dtype, device)
    if config.rows is not None:
        rows = model.text_model.embeddings.token_rows
        if rows.dtype != torch.int32 or int(rows.min()) < 0 or int(rows.max()) >= config.rows:
            raise WeightsError(
                f"{tensors.place}: its token_rows name no rows of its {config.rows}; it is damaged"
            )
    return model


def _used(tensors: Tensors) -> Tensors:
    """Leave out what some files hold beside a network's weights."""
    return tensors.renamed({name: name for name in tensors.shapes if not _IDLE.match(name)})


def _bare_text(tensors: Tensors) -> Tensors:
    """Some checkpoints and newer folders have no `text_model.` before each name."""
    if any(name.startswith("text_model.") for name in tensors.shapes):
        return _used(tensors)
    return tensors.renamed({name: f"text_model.{name}" for name in _used(tensors).shapes})


def _original_vae(tensors: Tensors) -> Tensors:
    modern: dict[str, str] = {}
    for name in tensors.shapes:
        new = name
        for old, current in OLD_VAE_ATTENTION.items():
            new = new.replace(old, current)
        modern[name] = new
    tensors = tensors.renamed(modern)
    levels = _numbers(tensors.shapes, r"encoder\.down_blocks\.(\d+)\.")
    blocks = _numbers(tensors.shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\.")
    return _renamed(tensors, inverse(vae_table(levels, blocks)))


def _structure(shapes: Mapping[str, tuple[int, ...]]) -> Structure:
    levels = _numbers(shapes, r"down_blocks\.(\d+)\.")
    attention = (f"down_blocks.{i}.attentions.0.norm.weight" in shapes for i in range(levels))
    return Structure(
        levels, _numbers(shapes, r"down_blocks\.0\.resnets\.(\d+)\."), tuple(attention)
    )


def _numbers(names: Iterable[str], numbered: str) -> int:
    return len({match[1] for match in (re.match(numbered, name) for name in names) if match})


def _renamed(tensors: Tensors, table: Mapping[str, str]) -> Tensors:
    return tensors.renamed({name: rename(name, table) for name in tensors.shapes})


def _stated(kind: type[configs.C], tensors: Tensors, part: str) -> configs.C | None:
    stated = tensors.config
    return configs.from_json(kind, stated[part], tensors.place) if part in stated else None


def _refuse_strange(place: str, names: list[str]) -> None:
    if any(name.startswith("conditioner.embedders.") for name in names):
        raise WeightsError(f"{place}: is an SDXL checkpoint, which is not supported yet")
    if any(name.startswith("cond_stage_model.model.") for name in names):
        raise WeightsError(
            f"{place}: has SD 2's text encoder (OpenCLIP's layout), which is not supported yet"
        )
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise WeightsError(
            f"{place}: {len(names)} tensors are not those of a Stable Diffusion checkpoint "
            f"({shown}); give a checkpoint, or this file to the node for its kind"
        )


def _refuse_variants(tensors: Tensors) -> None:
    kinds = {
        "lora_controlnet": "a Control-LoRA",
        "difference": "a difference to a UNet",
        "task_embedding": "a union of several ControlNets",
    }
    for name, kind in kinds.items():
        if name in tensors.shapes:
            raise WeightsError(
                f"{tensors.place}: is {kind}, which is not supported yet; give a whole ControlNet"
            )
