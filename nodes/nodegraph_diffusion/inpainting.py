"""Painting inside a mask only: the rule that holds a sampler to the original outside of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .samplers.denoiser import Denoise


@dataclass(frozen=True, eq=False)
class Inpainting:
    """A denoiser that knows what is outside of the mask.

    Whatever the sampler made of x there, the model sees the original under the run's start noise
    at the level asked for, and what it predicts there is replaced by the original. So the rule
    needs nothing of a sampler, may it call twice a step or draw noise of its own. All tensors are
    on one device; where the mask is between 0 and 1 both are mixed.
    """

    denoise: Denoise
    mask: Tensor  # (1 or B, 1, h, w) in [0, 1], 1 = paint here
    original: Tensor  # (B, C, h, w)
    noise: Tensor  # (B, C, h, w), standard

    def __call__(self, x: Tensor, sigma: float, index: int) -> Tensor:
        """Return the clean sample behind x; see `samplers.denoiser.Denoise`."""
        x0 = self.denoise(self._mixed(x, self._noisy(sigma)), sigma, index)
        return self._mixed(x0, self.original)

    def close(self, x: Tensor, sigma: float) -> Tensor:
        """Return x at the end of a run at `sigma`, exact where the mask is 0."""
        return torch.where(self.mask == 0.0, self._noisy(sigma), x)

    def _noisy(self, sigma: float) -> Tensor:
        return self.original + sigma * self.noise if sigma else self.original

    def _mixed(self, inside: Tensor, outside: Tensor) -> Tensor:
        return self.mask * inside + (1.0 - self.mask) * outside
