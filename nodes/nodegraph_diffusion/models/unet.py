"""The UNet that predicts the noise of a latent at a time step, for a text."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from nodegraph_diffusion.models.encoder import (
    Block,
    ResBlock,
    TimeProjections,
    UNetConfig,
    UNetEncoder,
    Upsample,
    skip_widths,
    transformer,
)
from nodegraph_diffusion.models.injection import Injection, inject
from nodegraph_diffusion.models.normalization import GroupNorm
from nodegraph_diffusion.models.transformer import ContextKV

__all__ = ["ContextKV", "TimeProjections", "UNetConfig", "UNetModel"]


class UNetModel(UNetEncoder):
    """Stable Diffusion's UNet: encoder, middle, and a decoder that sees the encoder again."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.output_blocks = nn.ModuleList(_output_blocks(config))
        width = config.widths[0]
        # the identity stands where the original has SiLU
        self.out = nn.Sequential(
            GroupNorm(config.norm_groups, width, silu=True),
            nn.Identity(),
            nn.Conv2d(width, config.out_channels, 3, padding=1),
        )
        self.name_layers()

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor | TimeProjections,
        context: Tensor | ContextKV,
        injection: Injection | None = None,
        y: Tensor | None = None,
    ) -> Tensor:
        """Predict noise or velocity (B, out_channels, h, w) of a latent.

        Args:
            x: latent, scaled for the model, with any channels to concatenate: (B, in_channels, h,
            w). timesteps: (B,), fractional allowed, or what `project_time` made of them. context:
            text (B, T, context_width), or what `project_context` made of it. injection: what
            controls and adapters add. y: extra vectors (B, vector_width) of a model that has them.

        Raises:
            ValueError: an injected tensor does not fit, or `y` is missing or not wanted.
        """
        injection = injection or Injection()
        check = injection.check or _go_on
        if injection.skips is not None and len(injection.skips) != self.config.skips:
            raise ValueError(
                f"UNet: {len(injection.skips)} residuals were injected where this model has "
                f"{self.config.skips} skips; the control belongs to another family"
            )
        call = self.call(timesteps, context, y, injection.attention)
        skips: list[Tensor] = []
        for i, block in enumerate(self.input_blocks):
            check()
            x = inject(block(x, call), injection.stream.get(i), f"input block {i}")
            skips.append(x)
        check()
        x = inject(self.middle_block(x, call), injection.middle, "middle block")
        for block in self.output_blocks:
            check()
            x = torch.cat([x, _next_skip(skips, injection)], dim=1)
            size = skips[-1].shape[2:] if skips else x.shape[2:]
            x = block(x, replace(call, size=(size[0], size[1])))
        return self.out(x)


def _next_skip(skips: list[Tensor], injection: Injection) -> Tensor:
    """Take the last skip, with what is injected into it."""
    skip, i = skips.pop(), len(skips)
    return skip if injection.skips is None else inject(skip, injection.skips[i], f"skip {i}")


def _go_on() -> None:
    """Do nothing: the check of a call that nobody can cancel."""


def _output_blocks(config: UNetConfig) -> list[Block]:
    skips = skip_widths(config)
    width = config.widths[-1]
    blocks: list[Block] = []
    for level, level_width in reversed(list(enumerate(config.widths))):
        for i in range(config.blocks + 1):
            layers: list[nn.Module] = [ResBlock(config, width + skips.pop(), level_width)]
            width = level_width
            if config.transformers[level]:
                layers.append(transformer(config, width, config.transformers[level]))
            if level > 0 and i == config.blocks:
                layers.append(Upsample(width))
            blocks.append(Block(*layers))
    return blocks
