"""The reference implementations, built from our configs and given our weights."""

from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL as DiffusersVAE
from diffusers import ControlNetModel as DiffusersControlNet
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig as TransformersConfig
from transformers import CLIPTextModel as TransformersText

from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_diffusion.weights.layout import (
    Structure,
    controlnet_table,
    rename,
    unet_table,
    vae_table,
)

UNET = UNetConfig(widths=(16, 32, 48, 48), heads=4, context_width=24, norm_groups=8)
VAE = VAEConfig(widths=(16, 24, 32, 32), blocks=2, norm_groups=8)
SDXL = UNetConfig(
    widths=(16, 32, 64),
    transformers=(0, 2, 3),
    middle_transformers=3,
    heads=None,
    head_width=16,
    context_width=24,
    linear_projection=True,
    vector_width=40,
    norm_groups=8,
)
TEXT = CLIPTextConfig(width=24, inner_width=48, layers=3, heads=3)
HINT_WIDTHS = (4, 8, 12, 16)
M = TypeVar("M", bound=nn.Module)


def fill(module: nn.Module, seed: int = 0) -> None:
    """Give every weight noise, those that start at zero or one included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 1
            spread = fan**-0.5 if parameter.dim() > 1 else 0.1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * spread
            parameter.copy_(parameter.mean().round() + noise)  # norms stay around one
        for name, parameter in module.named_parameters():
            if "zero_convs" in name or "middle_block_out" in name or "proj_out" in name:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(noise * 0.02)


def structure(config: UNetConfig) -> Structure:
    """Return what the names depend on."""
    return Structure(len(config.widths), config.blocks, tuple(d > 0 for d in config.transformers))


def _sizes(config: UNetConfig) -> dict[str, Any]:
    cross = [depth > 0 for depth in config.transformers]
    extra: dict[str, Any] = {}
    if config.vector_width is not None:
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": config.vector_width,
        }
    return {
        "in_channels": config.in_channels,
        "block_out_channels": config.widths,
        "layers_per_block": config.blocks,
        "down_block_types": ["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross],
        "cross_attention_dim": config.context_width,
        "attention_head_dim": config.heads or [w // config.head_width for w in config.widths],
        "transformer_layers_per_block": [max(d, 1) for d in config.transformers],
        "norm_num_groups": config.norm_groups,
        "use_linear_projection": config.linear_projection,
        **extra,
    }


def unet_pair(config: UNetConfig, dtype: torch.dtype) -> tuple[UNetModel, UNet2DConditionModel]:
    """Return our UNet and diffusers' with the same random weights."""
    ours = UNetModel(config)
    fill(ours)
    cross = [depth > 0 for depth in reversed(config.transformers)]
    theirs = UNet2DConditionModel(
        up_block_types=["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in cross],
        out_channels=config.out_channels,
        **_sizes(config),
    )
    _copy(ours, theirs, unet_table(structure(config)))
    return ours.to(dtype).eval(), theirs.to(dtype).eval()


def controlnet_pair(
    config: ControlNetConfig, dtype: torch.dtype
) -> tuple[ControlNetModel, DiffusersControlNet]:
    """Return our ControlNet and diffusers' with the same random weights."""
    ours = ControlNetModel(config)
    fill(ours, seed=1)
    theirs = DiffusersControlNet(
        conditioning_embedding_out_channels=config.hint_widths, **_sizes(config.unet)
    )
    _copy(ours, theirs, controlnet_table(structure(config.unet)))
    return ours.to(dtype).eval(), theirs.to(dtype).eval()


def vae_pair(config: VAEConfig, dtype: torch.dtype) -> tuple[AutoencoderKL, DiffusersVAE]:
    """Return our VAE and diffusers' with the same random weights."""
    ours = AutoencoderKL(config)
    fill(ours, seed=2)
    levels = len(config.widths)
    theirs = DiffusersVAE(
        block_out_channels=config.widths,
        layers_per_block=config.blocks,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=config.norm_groups,
    )
    _copy(ours, theirs, vae_table(levels, config.blocks))
    return ours.to(dtype).eval(), theirs.to(dtype).eval()


def text_pair(config: CLIPTextConfig, dtype: torch.dtype) -> tuple[CLIPTextModel, TransformersText]:
    """Return our text encoder and transformers' with the same random weights."""
    ours = CLIPTextModel(config)
    fill(ours, seed=3)
    theirs = TransformersText(
        TransformersConfig(
            hidden_size=config.width,
            intermediate_size=config.inner_width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            hidden_act=config.activation,
            attn_implementation="sdpa",
        )
    )
    state = {name.removeprefix("text_model."): value for name, value in ours.state_dict().items()}
    prefix = "text_model." if any(k.startswith("text_model.") for k in theirs.state_dict()) else ""
    theirs.load_state_dict({prefix + name: value for name, value in state.items()})
    return ours.to(dtype).eval(), theirs.to(dtype).eval()


def _copy(ours: nn.Module, theirs: nn.Module, table: dict[str, str]) -> None:
    shapes = theirs.state_dict()
    renamed = {rename(name, table): value for name, value in ours.state_dict().items()}
    reshaped = {
        name: value.reshape(shapes[name].shape) if name in shapes else value
        for name, value in renamed.items()
    }
    theirs.load_state_dict(reshaped, assign=True)  # full-size weights fit only once


def arranged(module: M, layout: torch.memory_format) -> M:
    """Return the module with its convolutions in a memory layout."""
    return module.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


def distance(a: Tensor, b: Tensor) -> float:
    """Return the relative distance of two tensors."""
    return float((a - b).norm() / b.norm())
