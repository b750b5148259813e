"""The UNet's encoder and middle, which the ControlNet copies, and what both are conditioned on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodegraph_diffusion.models.injection import AttentionHook
from nodegraph_diffusion.models.normalization import GroupNorm
from nodegraph_diffusion.models.transformer import ContextKV, CrossAttention, SpatialTransformer


@dataclass(frozen=True)
class UNetConfig:
    """Describe a UNet; the defaults are Stable Diffusion 1's.

    `transformers` counts the transformer blocks after each residual block of a level. `heads` is a
    fixed number of attention heads; None means heads of `head_width` channels. `vector_width` is
    that of the extra vector conditioning `y` (SDXL), None without.
    """

    in_channels: int = 4
    out_channels: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: int = 2
    transformers: tuple[int, ...] = (1, 1, 1, 0)
    middle_transformers: int = 1
    heads: int | None = 8
    head_width: int = 64
    context_width: int = 768
    linear_projection: bool = False
    vector_width: int | None = None
    norm_groups: int = 32
    prediction: Literal["eps", "v"] = "eps"

    @property
    def time_width(self) -> int:
        """The width of the time embedding."""
        return 4 * self.widths[0]

    @property
    def skips(self) -> int:
        """How many tensors the encoder hands to the decoder: 12 for SD 1, 9 for SDXL."""
        return len(self.widths) * (self.blocks + 1)

    def heads_of(self, width: int) -> int:
        """Return the number of attention heads at `width` channels."""
        return self.heads if self.heads is not None else width // self.head_width


@dataclass(frozen=True)
class TimeProjections:
    """What each residual block adds for its time step: (N, C) by the block's name."""

    layers: dict[str, Tensor]

    def select(self, rows: slice | Sequence[int] | Tensor) -> "TimeProjections":
        """Return the given rows, one for each row of the batch or one for all."""
        index = rows if isinstance(rows, slice | Tensor) else list(rows)
        return TimeProjections({name: values[index] for name, values in self.layers.items()})


@dataclass(frozen=True)
class Call:
    """What the blocks of one forward call share; `size` is what an upsampling block grows to."""

    time: TimeProjections
    context: ContextKV
    hooks: tuple[AttentionHook, ...] = ()
    size: tuple[int, int] = (0, 0)


class ResBlock(nn.Module):
    """Two normalised convolutions with the time step added between them, beside a shortcut."""

    def __init__(self, config: UNetConfig, width_in: int, width: int) -> None:
        super().__init__()
        self.name = ""  # the path in the whole model, set there
        groups = config.norm_groups
        conv_in = nn.Conv2d(width_in, width, 3, padding=1)
        conv_out = nn.Conv2d(width, width, 3, padding=1)
        # identities stand where the original has SiLU and dropout: the numbers are part of the keys
        self.in_layers = nn.Sequential(
            GroupNorm(groups, width_in, silu=True), nn.Identity(), conv_in
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(config.time_width, width))
        self.out_layers = nn.Sequential(
            GroupNorm(groups, width, silu=True), nn.Identity(), nn.Identity(), conv_out
        )
        self.skip_connection = nn.Identity() if width_in == width else nn.Conv2d(width_in, width, 1)

    def forward(self, x: Tensor, call: Call) -> Tensor:
        """Map (B, width_in, H, W) to (B, width, H, W)."""
        h = self.in_layers(x) + call.time.layers[self.name][:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    """Halve height and width, rounding up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ceil(H/2), ceil(W/2))."""
        return self.op(x)


class Upsample(nn.Module):
    """Grow to the size of the next skip by repeating pixels, then smooth."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map (B, C, H, W) to (B, C, *size)."""
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


class Block(nn.Sequential):
    """One numbered block: its layers in order, each given what it needs of the call."""

    def forward(self, x: Tensor, call: Call) -> Tensor:  # type: ignore[override]
        """Map (B, C, H, W) to (B, C', H', W')."""
        for layer in self:
            match layer:
                case ResBlock():
                    x = layer(x, call)
                case SpatialTransformer():
                    x = layer(x, call.context, call.hooks)
                case Upsample():
                    x = layer(x, call.size)
                case _:
                    x = layer(x)
        return x


def transformer(config: UNetConfig, width: int, depth: int) -> SpatialTransformer:
    """Build the transformer that follows a residual block of `width` channels."""
    return SpatialTransformer(
        width,
        config.heads_of(width),
        config.context_width,
        depth,
        groups=config.norm_groups,
        linear=config.linear_projection,
    )


def skip_widths(config: UNetConfig) -> list[int]:
    """Return the channels of each input block's output."""
    widths = [config.widths[0]]
    for level, width in enumerate(config.widths):
        last = level == len(config.widths) - 1
        widths += [width] * (config.blocks + (0 if last else 1))
    return widths


class UNetEncoder(nn.Module):
    """The part that the UNet and its trainable copy have in common.

    Source: arXiv 2112.10752, appendix; names as below `model.diffusion_model` in the released
    checkpoints.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embed = _embedding(config.widths[0], config.time_width)
        if config.vector_width is not None:
            self.label_emb = nn.Sequential(_embedding(config.vector_width, config.time_width))
        self.input_blocks = nn.ModuleList(_input_blocks(config))
        width = config.widths[-1]
        self.middle_block = Block(
            ResBlock(config, width, width),
            transformer(config, width, config.middle_transformers),
            ResBlock(config, width, width),
        )

    def name_layers(self) -> None:
        """Tell each conditioned layer its path, by which projections and hooks know it."""
        modules: Iterator[tuple[str, nn.Module]] = self.named_modules()  # pyright: ignore[reportUnknownVariableType]
        for name, module in modules:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(module, ResBlock | CrossAttention):
                module.name = name

    def project_time(self, timesteps: Tensor, y: Tensor | None = None) -> TimeProjections:
        """Return what each residual block adds for time steps (N,) and vectors y (N, V)."""
        embedding = self.time_embed(sinusoid(timesteps, self.config.widths[0]).to(self._dtype()))
        if (y is None) != (self.config.vector_width is None):
            needed = (
                f"vectors y of width {self.config.vector_width}" if y is None else "no vectors y"
            )
            raise ValueError(
                f"UNet: this model needs {needed}; give the conditioning of its own family"
            )
        if y is not None:
            embedding = embedding + self.label_emb(y.to(embedding.dtype))
        blocks = (m for m in self.modules() if isinstance(m, ResBlock))
        return TimeProjections({block.name: block.emb_layers(embedding) for block in blocks})

    def project_context(self, context: Tensor) -> ContextKV:
        """Return keys and values of every layer that attends to the text (B, T, context_width)."""
        context = context.to(self._dtype())
        layers = (m for m in self.modules() if isinstance(m, CrossAttention) and m.cross)
        return ContextKV(context, {layer.name: layer.project(context, context) for layer in layers})

    def call(
        self,
        timesteps: Tensor | TimeProjections,
        context: Tensor | ContextKV,
        y: Tensor | None = None,
        hooks: tuple[AttentionHook, ...] = (),
    ) -> Call:
        """Project whatever was not projected before."""
        time = (
            timesteps if isinstance(timesteps, TimeProjections) else self.project_time(timesteps, y)
        )
        words = context if isinstance(context, ContextKV) else self.project_context(context)
        return Call(time, words, hooks)

    def _dtype(self) -> torch.dtype:
        first = self.time_embed[0]
        assert isinstance(first, nn.Linear)
        return first.weight.dtype


def sinusoid(timesteps: Tensor, width: int) -> Tensor:
    """Return cosines, then sines, of time steps (N,) at frequencies 1 to 1/10000: (N, width).

    Source: arXiv 1706.03762, section 3.5, in the order of the released diffusion models.
    """
    half = width // 2
    exponent = (
        -math.log(10000) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    )
    angles = timesteps.float()[:, None] * exponent.exp()[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _embedding(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width), nn.SiLU(), nn.Linear(width, width))


def _input_blocks(config: UNetConfig) -> list[Block]:
    width = config.widths[0]
    blocks = [Block(nn.Conv2d(config.in_channels, width, 3, padding=1))]
    for level, level_width in enumerate(config.widths):
        for _ in range(config.blocks):
            layers: list[nn.Module] = [ResBlock(config, width, level_width)]
            width = level_width
            if config.transformers[level]:
                layers.append(transformer(config, width, config.transformers[level]))
            blocks.append(Block(*layers))
        if level < len(config.widths) - 1:
            blocks.append(Block(Downsample(width)))
    return blocks
