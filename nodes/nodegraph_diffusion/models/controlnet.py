"""The ControlNet: a trainable copy of a UNet's encoder, tied to it by zero convolutions."""

from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor, nn

from nodegraph_diffusion.models.encoder import (
    TimeProjections,
    UNetConfig,
    UNetEncoder,
    skip_widths,
)
from nodegraph_diffusion.models.transformer import ContextKV
from nodegraph_diffusion.models.unet import UNetModel

HINT_WIDTHS = (16, 32, 96, 256)  # the released models'; the paper's text names others


@dataclass(frozen=True)
class ControlNetConfig:
    """Describe a ControlNet: the UNet whose encoder it copies, and what reads the hint."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    hint_channels: int = 3
    hint_widths: tuple[int, int, int, int] = HINT_WIDTHS


def zero_conv(width_in: int, width: int, size: int = 1) -> nn.Conv2d:
    """Build a convolution whose weight and bias start at zero."""
    conv = nn.Conv2d(width_in, width, size, padding=size // 2)
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


class ControlNetModel(UNetEncoder):
    """Compute from a latent and a hint what is added to the locked UNet's skips and middle.

    Source: arXiv 2302.05543, section 3; layers as in the released `cldm/cldm.py`.
    """

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__(config.unet)
        self.controlnet_config = config
        self.input_hint_block = _hint_block(config)
        widths = skip_widths(config.unet)
        self.zero_convs = nn.ModuleList(nn.Sequential(zero_conv(width, width)) for width in widths)
        self.middle_block_out = nn.Sequential(zero_conv(widths[-1], widths[-1]))
        self.name_layers()

    @classmethod
    def from_unet(
        cls, unet: UNetModel, hint_widths: tuple[int, int, int, int] = HINT_WIDTHS
    ) -> "ControlNetModel":
        """Return a copy of the UNet's encoder and middle, which adds nothing as yet."""
        model = cls(ControlNetConfig(unet.config, hint_widths=hint_widths))
        own = model.state_dict()
        copied = {name: value for name, value in unet.state_dict().items() if name in own}
        model.load_state_dict(copied, strict=False)
        return model

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Return the embedding (B, widths[0], h, w) of a hint (B, 3, 8h, 8w), RGB in [0, 1]."""
        return self.input_hint_block(hint)

    def forward(
        self,
        x: Tensor,
        hint_embedding: Tensor,
        timesteps: Tensor | TimeProjections,
        context: Tensor | ContextKV,
        y: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the residuals of each skip, in the encoder's order, then the middle's.

        Args:
            x: latent, scaled for the model: (B, in_channels, h, w).
            hint_embedding: what `embed_hint` made of the hint; a batch of one row serves all rows.
            timesteps: as for the UNet.
            context: as for the UNet; projections must be this model's own.
            y: extra vectors of a model that has them.

        Raises:
            ValueError: the hint has another size than the latent.
        """
        if hint_embedding.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"ControlNet: the hint's embedding is {tuple(hint_embedding.shape[2:])} and the "
                f"latent {tuple(x.shape[2:])}; give a hint of 8 times the latent's height and width"
            )
        call = self.call(timesteps, context, y)
        residuals: list[Tensor] = []
        for i, (block, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            x = block(x, call)
            if i == 0:
                x = x + hint_embedding
            residuals.append(zero(x))
        residuals.append(self.middle_block_out(self.middle_block(x, call)))
        return residuals


def _hint_block(config: ControlNetConfig) -> nn.Sequential:
    """Eight 3x3 convolutions, three of them halving the size, SiLU between and zeros at the end."""
    widths = config.hint_widths
    layers: list[nn.Module] = [nn.Conv2d(config.hint_channels, widths[0], 3, padding=1)]
    for width, wider in pairwise(widths):
        layers += [nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)]
        layers += [nn.SiLU(), nn.Conv2d(width, wider, 3, stride=2, padding=1)]
    layers += [nn.SiLU(), zero_conv(widths[-1], config.unet.widths[0], 3)]
    return nn.Sequential(*layers)
