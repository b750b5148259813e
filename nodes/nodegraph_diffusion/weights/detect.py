"""Tells the configuration of a network from the shapes of its tensors, in the original layout."""

from collections.abc import Mapping
from re import Pattern, escape
from re import compile as pattern

from nodegraph import WeightsError
from nodegraph_diffusion.models.clip import VOCABULARY, CLIPTextConfig
from nodegraph_diffusion.models.controlnet import ControlNetConfig
from nodegraph_diffusion.models.unet import UNetConfig
from nodegraph_diffusion.models.vae import VAEConfig

from .files import Tensors

Shapes = Mapping[str, tuple[int, ...]]
_HINT_PLACES = (0, 4, 8, 12)  # of the convolutions in the hint block that end at its widths


def unet_config(tensors: Tensors) -> UNetConfig:
    """Return the configuration of a UNet, or of the UNet that a ControlNet copies.

    What shapes do not say is as in the released models: 8 heads for a text of 768 channels, heads
    of 64 channels otherwise, 32 norm groups, eps prediction.

    Raises:
        WeightsError: the tensors are not those of a UNet.
    """
    shapes = tensors.shapes
    width, channels = _shape(tensors, "input_blocks.0.0.weight", 4)[:2]
    widths, depths, blocks = [width], [0], [0]
    for i in range(1, _count(shapes, pattern(r"input_blocks\.(\d+)\."))):
        if f"input_blocks.{i}.0.op.weight" in shapes:
            widths, depths, blocks = [*widths, 0], [*depths, 0], [*blocks, 0]
            continue
        widths[-1] = _shape(tensors, f"input_blocks.{i}.0.out_layers.3.weight", 4)[0]
        depths[-1] = _depth(shapes, f"input_blocks.{i}.1")
        blocks[-1] += 1
    text = _shape(tensors, "middle_block.1.transformer_blocks.0.attn2.to_k.weight", 2)[1]
    if len(set(blocks)) != 1:
        raise WeightsError(f"{tensors.place}: has levels of unequal length {blocks}; not supported")
    return UNetConfig(
        in_channels=channels,
        out_channels=shapes.get("out.2.weight", (4,))[0],
        widths=tuple(widths),
        blocks=blocks[0],
        transformers=tuple(depths),
        middle_transformers=_depth(shapes, "middle_block.1"),
        heads=8 if text == 768 else None,
        context_width=text,
        linear_projection=len(shapes.get("middle_block.1.proj_in.weight", ())) == 2,
        vector_width=shapes["label_emb.0.0.weight"][-1] if _labelled(shapes) else None,
    )


def controlnet_config(tensors: Tensors) -> ControlNetConfig:
    """Return the configuration of a ControlNet.

    Raises:
        WeightsError: the tensors are not those of a ControlNet.
    """
    hint = [_shape(tensors, f"input_hint_block.{i}.weight", 4) for i in _HINT_PLACES]
    a, b, c, d = (shape[0] for shape in hint)
    return ControlNetConfig(unet_config(tensors), hint[0][1], (a, b, c, d))


def vae_config(tensors: Tensors) -> VAEConfig:
    """Return the configuration of a VAE; what shapes do not say is Stable Diffusion 1's.

    Raises:
        WeightsError: the tensors are not those of a VAE.
    """
    shapes = tensors.shapes
    levels = _count(shapes, pattern(r"encoder\.down\.(\d+)\."))
    places = [f"encoder.down.{i}.block.0.conv2.weight" for i in range(levels)]
    return VAEConfig(
        in_channels=_shape(tensors, "encoder.conv_in.weight", 4)[1],
        latent_channels=_shape(tensors, "decoder.conv_in.weight", 4)[1],
        widths=tuple(_shape(tensors, place, 4)[0] for place in places),
        blocks=_count(shapes, pattern(r"encoder\.down\.0\.block\.(\d+)\.")),
    )


def text_config(tensors: Tensors) -> CLIPTextConfig:
    """Return the configuration of a text encoder; its heads have 64 channels.

    Raises:
        WeightsError: the tensors are not those of a CLIP text encoder.
    """
    shapes = tensors.shapes
    rows, width = _shape(tensors, "text_model.embeddings.token_embedding.weight", 2)
    return CLIPTextConfig(
        positions=_shape(tensors, "text_model.embeddings.position_embedding.weight", 2)[0],
        width=width,
        inner_width=_shape(tensors, "text_model.encoder.layers.0.mlp.fc1.weight", 2)[0],
        layers=_count(shapes, pattern(r"text_model\.encoder\.layers\.(\d+)\.")),
        heads=max(width // 64, 1),
        rows=None if rows == VOCABULARY else rows,
    )


def _labelled(shapes: Shapes) -> bool:
    return len(shapes.get("label_emb.0.0.weight", ())) == 2


def _shape(tensors: Tensors, name: str, dimensions: int) -> tuple[int, ...]:
    shape = tensors.shapes.get(name)
    if shape is None or len(shape) != dimensions:
        state = "is missing" if shape is None else f"has the shape {list(shape)}"
        raise WeightsError(
            f"{tensors.place}: {name} {state}; the file is damaged or not of a supported model"
        )
    return shape


def _count(shapes: Shapes, numbered: Pattern[str]) -> int:
    """Count the different numbers that stand in the pattern's group."""
    return len({match[1] for match in map(numbered.match, shapes) if match})


def _depth(shapes: Shapes, prefix: str) -> int:
    return _count(shapes, pattern(escape(prefix) + r"\.transformer_blocks\.(\d+)\."))
