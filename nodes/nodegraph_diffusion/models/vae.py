"""The variational autoencoder that turns pictures into latents and back."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodegraph_diffusion.models.attention import attend
from nodegraph_diffusion.models.normalization import GroupNorm


@dataclass(frozen=True)
class VAEConfig:
    """Describe an autoencoder; the defaults are Stable Diffusion 1's.

    A picture shrinks by 2 between neighbouring `widths`, by 8 in all for four of them.
    `scale_factor` brings latents to unit variance for the UNet; `AutoencoderKL` itself does not
    apply it.
    """

    in_channels: int = 3
    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    norm_groups: int = 32
    scale_factor: float = 0.18215

    @property
    def factor(self) -> int:
        """How many pixels of the picture one latent pixel covers in each direction."""
        return 2 ** (len(self.widths) - 1)


def _norm(config: VAEConfig, width: int, *, silu: bool = True) -> GroupNorm:
    return GroupNorm(config.norm_groups, width, eps=1e-6, silu=silu)


class ResnetBlock(nn.Module):
    """Two normalised convolutions beside a shortcut."""

    def __init__(self, config: VAEConfig, width_in: int, width_out: int) -> None:
        super().__init__()
        self.norm1 = _norm(config, width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2 = _norm(config, width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1)
        if width_in != width_out:
            self.nin_shortcut = nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width_in, H, W) to (B, width_out, H, W)."""
        shortcut = self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x
        return shortcut + self.conv2(self.norm2(self.conv1(self.norm1(x))))


class AttnBlock(nn.Module):
    """Attention of every pixel to every pixel, with one head."""

    def __init__(self, config: VAEConfig, width: int) -> None:
        super().__init__()
        self.norm = _norm(config, width, silu=False)
        self.q = nn.Conv2d(width, width, 1)
        self.k = nn.Conv2d(width, width, 1)
        self.v = nn.Conv2d(width, width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        h = self.norm(x)
        q, k, v = (f(h).flatten(2).transpose(1, 2).unsqueeze(1) for f in (self.q, self.k, self.v))
        h = attend(q, k, v).squeeze(1).transpose(1, 2)  # (B, C, H*W)
        return x + self.proj_out(h.reshape(x.shape))


class Downsample(nn.Module):
    """Halve height and width; the padding stands right and below only, as in the original."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H/2, W/2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double height and width by repeating pixels, then smooth."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """The narrowest part: block, attention, block."""

    def __init__(self, config: VAEConfig, width: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(config, width, width)
        self.attn_1 = AttnBlock(config, width)
        self.block_2 = ResnetBlock(config, width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Level(nn.Module):
    """The blocks of one resolution, and the change of size that follows them."""

    downsample: Downsample
    upsample: Upsample

    def __init__(self, config: VAEConfig, width_in: int, width: int, blocks: int) -> None:
        super().__init__()
        widths = [width_in] + [width] * blocks
        self.block = nn.ModuleList(
            ResnetBlock(config, before, after) for before, after in pairwise(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width_in, H, W) to (B, width, H', W')."""
        for block in self.block:
            x = block(x)
        if hasattr(self, "downsample"):
            return self.downsample(x)
        return self.upsample(x) if hasattr(self, "upsample") else x


class Encoder(nn.Module):
    """From a picture to the moments of its latent."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            level = Level(config, widths[max(i - 1, 0)], width, config.blocks)
            if i < len(widths) - 1:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(config, widths[-1])
        self.norm_out = _norm(config, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, 2 * latent_channels, H/8, W/8)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(self.norm_out(self.mid(x)))


class Decoder(nn.Module):
    """From a latent to its picture; one block a level more than the encoder has."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        widths = config.widths
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        self.mid = Middle(config, widths[-1])
        self.up = nn.ModuleList()  # numbered by resolution: up.0 is the widest and runs last
        for i, width in enumerate(widths):
            level = Level(config, widths[min(i + 1, last)], width, config.blocks + 1)
            if i > 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = _norm(config, widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.in_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map (B, latent_channels, H/8, W/8) to (B, 3, H, W)."""
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(self.norm_out(x))


class AutoencoderKL(nn.Module):
    """Encode pictures to the mean and log-variance of their latents, decode latents to pictures.

    Source: arXiv 2112.10752, section 3.1; names as below `first_stage_model` in the released
    checkpoints.
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent's mean and log-variance, each (B, 4, H/8, W/8) and unscaled.

        `x` is a picture (B, 3, H, W), RGB in [-1, 1].
        """
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean, torch.clamp(logvar, -30.0, 20.0)

    def decode(self, z: Tensor) -> Tensor:
        """Return the picture (B, 3, H, W), RGB about in [-1, 1], of an unscaled latent z."""
        return self.decoder(self.post_quant_conv(z))
