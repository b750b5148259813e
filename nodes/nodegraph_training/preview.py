"""Sample pictures from a model in training, quickly and always from the same noise."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.injection import Injection
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL
from nodegraph_diffusion.samplers.denoiser import clean_sample, network_input
from nodegraph_diffusion.samplers.dpmpp_2m import dpmpp_2m
from nodegraph_diffusion.schedule import TrainedNoise, karras
from nodegraph_training.vae import to_pixels


@dataclass(frozen=True)
class Control:
    """A ControlNet and a hint for each picture."""

    model: ControlNetModel
    hints: Tensor  # (N, 3, H, W) in [0, 1]

    def embed(self, times: int) -> Tensor:
        """Return the hints' embeddings, the whole set `times` times over."""
        return self.model.embed_hint(self.hints).repeat(times, 1, 1, 1)


@dataclass(frozen=True)
class PreviewRequest:
    """What to draw: contexts (N, T, D), the empty one (1, T, D), the latent's height and width."""

    context: Tensor
    empty: Tensor
    size: tuple[int, int]
    steps: int = 16
    cfg: float = 3.0
    seed: int = 7
    control: Control | None = None


@torch.no_grad()
def sample_latents(unet: UNetModel, request: PreviewRequest) -> Tensor:
    """Return latents (N, C, h, w) by DPM++ 2M over Karras' steps with guidance."""
    count, noise = len(request.context), TrainedNoise.scaled_linear()
    sigmas = [*karras(noise, request.steps), 0.0]
    contexts = torch.cat([request.context, request.empty.expand_as(request.context)])
    words = unet.project_context(contexts)
    hint = None if request.control is None else request.control.embed(2)

    def denoise(x: Tensor, sigma: float, index: int) -> Tensor:
        scaled = network_input(x, sigma).repeat(2, 1, 1, 1)
        times = torch.full((2 * count,), noise.timestep(sigma))
        added = Injection()
        if request.control is not None and hint is not None:
            added = added.with_residuals(request.control.model(scaled, hint, times, contexts))
        output = unet(scaled, times, words, added)
        positive, negative = clean_sample(
            x.repeat(2, 1, 1, 1), output, sigma, unet.config.prediction
        ).chunk(2)
        return negative + request.cfg * (positive - negative)

    generator = torch.Generator("cpu").manual_seed(request.seed)
    x = (
        torch.randn((count, unet.config.out_channels, *request.size), generator=generator)
        * sigmas[0]
    )
    return list(dpmpp_2m(denoise, x, sigmas, torch.randn_like))[-1]


@torch.no_grad()
def draw(unet: UNetModel, vae: AutoencoderKL, request: PreviewRequest) -> NDArray[np.uint8]:
    """Return the sampled pictures laid out eight in a row, (H, W, 3) uint8."""
    return tile(to_pixels(vae.decode(sample_latents(unet, request) / vae.config.scale_factor)))


def tile(pictures: NDArray[np.uint8], columns: int = 8) -> NDArray[np.uint8]:
    """Lay pictures (N, H, W, 3) out in rows; what is missing in the last row stays white."""
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    padded = np.full((lines * columns, *pictures.shape[1:]), 255, np.uint8)
    padded[: len(pictures)] = pictures
    height, width = pictures.shape[1:3]
    grid = padded.reshape(lines, columns, height, width, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(lines * height, columns * width, 3))
