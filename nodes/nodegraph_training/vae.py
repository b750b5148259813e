"""Train an autoencoder: pictures in, the same pictures out, through a small latent."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_training.dataset import Pictures, PictureSource
from nodegraph_training.task import Batch, as_input

EDGE_WEIGHT = 5.0
GRADIENT_WEIGHT = 0.5
COLOUR_WEIGHT = 1.0
KL_WEIGHT = 2e-4
ON_EDGES = 0.75
"""The share of crops that are laid on an edge: flat sky and floor are soon learnt."""


class VAETask:
    """Learn to encode and decode crops of pictures, at the end whole pictures."""

    def __init__(
        self, source: PictureSource, config: VAEConfig, *, crop: int, whole_from: int, seed: int
    ) -> None:
        """Begin with random weights; from step `whole_from` on, whole pictures replace the crops.

        The number of pixels in a step stays the same.
        """
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        self.model: nn.Module = AutoencoderKL(config)
        self.source, self.crop, self.whole_from = source, crop, whole_from
        self.count = len(source)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of decoded against true pixels, with the latent's noise drawn anew."""
        assert isinstance(model, AutoencoderKL)
        pixels = self.source.pictures(batch.indices)
        if batch.step < self.whole_from:
            pixels = crops(pixels, self.crop, batch.numpy)
        else:
            pixels = pixels[
                : max(1, len(pixels) * self.crop**2 // (pixels.shape[1] * pixels.shape[2]))
            ]
        if batch.numpy.random() < 0.5:
            pixels = pixels[:, :, ::-1]
        x = to_tensor(pixels)
        mean, logvar = (part.float() for part in model.encode(as_input(x, model)))
        noise = torch.randn(mean.shape, generator=batch.torch).to(mean.device)
        z = mean + torch.exp(0.5 * logvar) * noise
        y = model.decode(as_input(z, model)).float()
        return reconstruction_loss(x.to(y.device), y, mean, logvar)

    @torch.no_grad()
    def preview(self, model: nn.Module) -> NDArray[np.uint8]:
        """Return true pictures above their round trips."""
        assert isinstance(model, AutoencoderKL)
        pixels = self.source.pictures(np.arange(min(8, self.count)))
        trips = to_pixels(model.decode(model.encode(to_tensor(pixels))[0]))
        return np.concatenate(
            [np.concatenate(list(row), axis=1) for row in (pixels, trips)], axis=0
        )


def crops(pixels: Pictures, size: int, rng: np.random.Generator) -> Pictures:
    """Cut one square from each picture, most of them centred on an edge."""
    height, width = pixels.shape[1:3]
    out = np.empty((len(pixels), size, size, 3), np.uint8)
    for index in range(len(pixels)):
        picture: Pictures = pixels[index]
        top, left = rng.integers(0, (height - size + 1, width - size + 1))
        edges = np.argwhere(np.asarray(cv2.Canny(picture, 60, 140)))
        if rng.random() < ON_EDGES and len(edges):
            middle = edges[rng.integers(len(edges))]
            top, left = np.clip(middle - size // 2, 0, (height - size, width - size))
        out[index] = picture[top : top + size, left : left + size]
    return out


def reconstruction_loss(
    x: Tensor, y: Tensor, mean: Tensor, logvar: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of y against x (B, 3, H, W) in [-1, 1], and its parts for the log.

    Edges weigh more; differences of neighbours keep them crisp; averages over 4 and 8 pixels, of
    the colours and of their differences to green, keep hues that a per-pixel loss alone gives up
    first.
    """
    weight = 1.0 + EDGE_WEIGHT * edge_map(x)
    error = y - x
    pixel = (weight * (error.abs() + error.square())).mean()
    slope = (weight[..., 1:] * error.diff(dim=3).abs()).mean() + (
        weight[..., 1:, :] * error.diff(dim=2).abs()
    ).mean()
    colour = sum((_colour(F.avg_pool2d(error, size)) for size in (4, 8)), x.new_zeros(()))
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
    loss = pixel + GRADIENT_WEIGHT * slope + COLOUR_WEIGHT * colour + KL_WEIGHT * kl
    mse = float(error.detach().square().mean()) / 4.0
    return loss, {"psnr": -10.0 * float(np.log10(max(mse, 1e-12))), "kl": float(kl.detach())}


def edge_map(x: Tensor) -> Tensor:
    """Return how near an edge each pixel is, (B, 1, H, W) in [0, 1], of pictures in [-1, 1]."""
    grey = x.mean(dim=1, keepdim=True)
    dx = F.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1))
    dy = F.pad((grey[..., 1:, :] - grey[..., :-1, :]).abs(), (0, 0, 0, 1))
    return F.max_pool2d(((dx + dy) * 4.0).clamp(max=1.0), 3, stride=1, padding=1)


def to_tensor(pixels: Pictures) -> Tensor:
    """Return pictures (B, H, W, 3) uint8 as (B, 3, H, W) float32 in [-1, 1]."""
    return torch.as_tensor(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_pixels(x: Tensor) -> Pictures:
    """Return (B, 3, H, W) in [-1, 1] as pictures (B, H, W, 3) uint8."""
    scaled = (x.float().clamp(-1, 1) + 1.0) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _colour(error: Tensor) -> Tensor:
    red, green, blue = error.unbind(1)
    hues = torch.stack([red - green, blue - green], 1)
    return error.abs().mean() + error.square().mean() + hues.abs().mean() + hues.square().mean()
