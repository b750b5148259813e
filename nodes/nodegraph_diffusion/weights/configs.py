"""Configurations as JSON: nodegraph's own in a file's metadata, and diffusers' in its folders."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from nodegraph import WeightsError
from nodegraph_diffusion.models.clip import CLIPTextConfig
from nodegraph_diffusion.models.controlnet import ControlNetConfig
from nodegraph_diffusion.models.unet import UNetConfig
from nodegraph_diffusion.models.vae import VAEConfig

Config = UNetConfig | ControlNetConfig | VAEConfig | CLIPTextConfig
C = TypeVar("C", bound=Config)

MAX_BLOCKS = 1024  # of a network; SDXL's UNet, the largest, has 60 by the count below
MAX_SIZE = 2**17  # of any width or count

_UNET_FIXED: Mapping[str, Any] = {
    "act_fn": "silu",
    "center_input_sample": False,
    "class_embed_type": None,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "time_embedding_type": "positional",
}
_CONTROLNET_FIXED: Mapping[str, Any] = {
    **_UNET_FIXED,
    "controlnet_conditioning_channel_order": "rgb",
    "global_pool_conditions": False,
}
_VAE_FIXED: Mapping[str, Any] = {
    "act_fn": "silu",
    "latents_mean": None,
    "latents_std": None,
    "mid_block_add_attention": True,
    "shift_factor": None,
    "use_post_quant_conv": True,
    "use_quant_conv": True,
}
_TEXT_FIXED: Mapping[str, Any] = {"layer_norm_eps": 1e-5}
_PREDICTIONS: Mapping[str, Literal["eps", "v"]] = {"epsilon": "eps", "v_prediction": "v"}


def to_json(config: Config) -> dict[str, Any]:
    """Return a configuration as plain data."""
    return dataclasses.asdict(config)


def from_json(kind: type[C], data: object, place: str) -> C:
    """Read a configuration that `to_json` wrote.

    Raises:
        WeightsError: it has unknown or ill-typed entries, or describes an absurd network.
    """
    if isinstance(data, dict):
        known = {field.name for field in dataclasses.fields(kind)}
        unknown = [str(name) for name in cast("dict[object, object]", data) if name not in known]
        if unknown:
            raise WeightsError(
                f"{place}: its configuration has the unknown entry {unknown[0][:80]!r}; "
                "a newer nodegraph may know it"
            )
    try:
        config = TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WeightsError(
            f"{place}: its configuration is wrong at {where!r}: {first['msg']}"
        ) from error
    return bounded(config, place)


def bounded(config: C, place: str) -> C:
    """Return the configuration unless no network has such sizes, or would take minutes to build.

    Raises:
        WeightsError: the sizes are absurd.
    """
    for size in _sizes(to_json(config)):
        if not 0 < size <= MAX_SIZE:
            raise WeightsError(f"{place}: its configuration has the size {size}; it is damaged")
    blocks = _blocks(config)
    if not 0 < blocks <= MAX_BLOCKS:
        raise WeightsError(f"{place}: describes a network of {blocks} blocks; it is damaged")
    unfit = _unfit(config)
    if unfit:
        raise WeightsError(f"{place}: {unfit}; it is damaged or of another kind of model")
    return config


def _unfit(config: Config) -> str:
    """Say in which way a network of possible sizes could not compute, if in any."""
    match config:
        case ControlNetConfig():
            return _unfit(config.unet)
        case UNetConfig():
            levels = zip(config.widths, config.transformers, strict=False)
            widths = [*(width for width, depth in levels if depth), config.widths[-1]]
            return next(filter(None, (_unsplit(w, config.heads_of(w)) for w in widths)), "")
        case VAEConfig():
            if config.in_channels != 3:
                return f"codes pictures of {config.in_channels} channels, not 3"
            factor = config.scale_factor
            return "" if 0 < factor < 1000 else f"scales latents by {factor}"
        case CLIPTextConfig():
            if config.positions < 3:  # a word stands between the marks of start and end
                return f"has places for {config.positions} tokens"
            return _unsplit(config.width, config.heads)


def _unsplit(width: int, heads: int) -> str:
    fits = heads > 0 and width % heads == 0
    return "" if fits else f"splits {width} channels into {heads} attention heads"


def _sizes(value: object) -> Iterator[int]:
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        value = [item for name, item in named.items() if name != "transformers"]  # may be 0
    if isinstance(value, list | tuple):
        for item in cast("Sequence[object]", value):
            yield from _sizes(item)
    elif type(value) is int:
        yield value


def _blocks(config: Config) -> int:
    match config:
        case UNetConfig():
            deepest = max(1, config.middle_transformers, *config.transformers)
            return len(config.widths) * config.blocks * deepest
        case ControlNetConfig():
            return _blocks(config.unet)
        case VAEConfig():
            return len(config.widths) * config.blocks
        case CLIPTextConfig():
            return config.layers


def unet_from_diffusers(
    base: UNetConfig, data: Mapping[str, Any], scheduler: Mapping[str, Any], place: str
) -> UNetConfig:
    """Complete what the shapes told of a UNet by its `config.json` and its scheduler's.

    There `attention_head_dim` is the number of heads, whatever its name says.
    """
    _expect(data, _UNET_FIXED, place)
    told = scheduler.get("prediction_type") or "epsilon"
    if told not in _PREDICTIONS:
        raise WeightsError(f"{place}: predicts {told!r}, which is not supported; use eps or v")
    return replace(
        base,
        norm_groups=_natural(data, "norm_num_groups", 32, place),
        prediction=_PREDICTIONS[told],
        **_heads(base.widths, data, place),
    )


def controlnet_from_diffusers(
    base: ControlNetConfig, data: Mapping[str, Any], place: str
) -> ControlNetConfig:
    """Complete what the shapes told of a ControlNet by its `config.json`."""
    _expect(data, _CONTROLNET_FIXED, place)
    unet = replace(
        base.unet,
        norm_groups=_natural(data, "norm_num_groups", 32, place),
        **_heads(base.unet.widths, data, place),
    )
    return replace(base, unet=unet)


def vae_from_diffusers(base: VAEConfig, data: Mapping[str, Any], place: str) -> VAEConfig:
    """Complete what the shapes told of a VAE by its `config.json`."""
    _expect(data, _VAE_FIXED, place)
    factor = data.get("scaling_factor", 0.18215)
    if not isinstance(factor, int | float) or not 0 < factor < 1000:
        raise WeightsError(f"{place}: scaling_factor is {factor!r}; it must be a positive number")
    groups = _natural(data, "norm_num_groups", 32, place)
    return replace(base, norm_groups=groups, scale_factor=float(factor))


def text_from_diffusers(
    base: CLIPTextConfig, data: Mapping[str, Any], place: str
) -> CLIPTextConfig:
    """Complete what the shapes told of a text encoder by its `config.json`."""
    _expect(data, _TEXT_FIXED, place)
    activation = data.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise WeightsError(f"{place}: hidden_act is {activation!r}; only gelu forms are supported")
    heads = _natural(data, "num_attention_heads", base.heads, place)
    return replace(base, heads=heads, activation=activation)


def _expect(data: Mapping[str, Any], fixed: Mapping[str, Any], place: str) -> None:
    for name, value in fixed.items():
        found = data.get(name, value)
        if found != value:
            raise WeightsError(
                f"{place}: {name} is {found!r} and only {value!r} is supported; use another model"
            )


def _natural(data: Mapping[str, Any], name: str, default: int, place: str) -> int:
    value = data.get(name, default)
    if type(value) is not int or not 0 < value < 2**16:
        raise WeightsError(f"{place}: {name} is {value!r}; it must be a positive integer")
    return value


def _heads(widths: tuple[int, ...], data: Mapping[str, Any], place: str) -> dict[str, Any]:
    stated = data.get("num_attention_heads") or data.get("attention_head_dim", 8)
    if type(stated) is int and stated > 0:
        return {"heads": stated}
    listed = cast("list[object]", stated) if isinstance(stated, list) else []
    heads = [count for count in listed if type(count) is int and count > 0]
    if len(heads) == len(widths) == len(listed):
        sizes = {width / count for width, count in zip(widths, heads, strict=True)}
        if len(sizes) == 1:
            return {"heads": None, "head_width": int(sizes.pop())}
    raise WeightsError(f"{place}: attention_head_dim {stated!r} does not fit widths {widths}")
