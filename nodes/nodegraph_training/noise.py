"""The diffusion loss: noise a latent at a random time step, predict, weigh by the noise."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from nodegraph_diffusion.schedule import TrainedNoise

GAMMA = 5.0
"""The signal-to-noise ratio above which steps weigh no more (min-SNR: arXiv 2303.09556)."""


@dataclass(frozen=True)
class Noised:
    """A batch for the network: its input `x`, the time steps, the right answers, their weights."""

    x: Tensor
    timesteps: Tensor
    target: Tensor
    weight: Tensor

    def on(self, device: torch.device) -> "Noised":
        """Return the batch on a device; it is always drawn on the CPU, for equal numbers."""
        return Noised(*(getattr(self, field.name).to(device) for field in fields(self)))


def noised(latent: Tensor, sigmas: Tensor, prediction: str, generator: torch.Generator) -> Noised:
    """Noise latents (B, C, h, w) float32, each at a time step from another B-th of training's.

    Source: velocity v = alpha eps - sigma x0, alpha^2 + sigma^2 = 1, from Salimans and Ho 2022
    (arXiv 2202.00512).
    """
    count = len(latent)
    draw = (
        torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    ) / count
    timesteps = (draw * len(sigmas)).long().clamp(max=len(sigmas) - 1)
    ratio = sigmas[timesteps].view(-1, 1, 1, 1)
    alpha = (1.0 + ratio.square()).rsqrt()
    sigma = ratio * alpha
    eps = torch.randn(latent.shape, generator=generator)
    snr = 1.0 / ratio.square()
    bounded = snr.clamp(max=GAMMA)
    if prediction == "v":
        return Noised(
            alpha * latent + sigma * eps,
            timesteps,
            alpha * eps - sigma * latent,
            bounded / (snr + 1.0),
        )
    return Noised(alpha * latent + sigma * eps, timesteps, eps, bounded / snr)


def trained_sigmas() -> Tensor:
    """Return Stable Diffusion's 1000 noise levels as a tensor, lowest first."""
    return torch.tensor(TrainedNoise.scaled_linear().sigmas)


def diffusion_loss(output: Tensor, batch: Noised) -> Tensor:
    """Return the weighted mean square error of the network's output (B, C, h, w)."""
    return (batch.weight * (output.float() - batch.target).square()).mean()
