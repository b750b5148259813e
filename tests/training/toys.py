"""Toy data sets, models and tasks, small enough to train in a blink."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_training.dataset import Indices, Pictures
from nodegraph_training.settings import Settings
from nodegraph_training.task import Batch

VAE = VAEConfig(widths=(8, 8, 8, 8), blocks=1, norm_groups=4)
UNET = UNetConfig(
    widths=(16, 16),
    transformers=(0, 1),
    blocks=1,
    heads=2,
    context_width=16,
    norm_groups=4,
    prediction="v",
)
TEXT = CLIPTextConfig(width=16, inner_width=32, layers=1, heads=2)


@dataclass
class Squares:
    """A bright square on a dark ground, left or right; its hint is the square's outline."""

    count: int = 12
    size: int = 32

    def __len__(self) -> int:
        return self.count

    def pictures(self, indices: Indices) -> Pictures:
        out = np.full((len(indices), self.size, self.size, 3), 30, np.uint8)
        for row, index in zip(out, indices, strict=True):
            left = 4 if index % 2 else self.size // 2
            row[8:-8, left : left + self.size // 3] = (220, 40 + 10 * int(index), 60)
        return out

    def hint(self, kind: str, indices: Indices) -> Pictures:
        return np.where(self.pictures(indices) > 100, 255, 0).astype(np.uint8)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        return f"a square on the {'left' if index % 2 else 'right'}"


@dataclass
class LineTask:
    """Learn y = 3 x from noisy draws; `poison` names a step whose loss is not a number."""

    count: int = 100
    poison: int | None = None
    model: nn.Module = field(default_factory=lambda: _linear())

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        x = torch.randn(len(batch.indices), 16, generator=batch.torch)
        y = 3 * x + 0.01 * float(batch.numpy.standard_normal())
        error = (model(x).float() - y).square().mean()
        if batch.step == self.poison:
            error = error * float("nan")
        return error, {}

    def preview(self, model: nn.Module) -> NDArray[np.uint8]:
        return np.zeros((8, 8, 3), np.uint8)


def _linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(16, 16)


def quick(steps: int, **changes: object) -> Settings:
    """Return settings of a short run in float32."""
    chosen: dict[str, object] = {"batch": 4, "warmup": 2, "precision": "float32"}
    return Settings(steps, **{**chosen, **changes})  # type: ignore[arg-type]


def locked() -> tuple[UNetModel, CLIPTextModel, AutoencoderKL]:
    """Return a random UNet whose output is not zero, with its text encoder and autoencoder."""
    torch.manual_seed(1)
    return UNetModel(UNET), CLIPTextModel(TEXT), AutoencoderKL(VAE)
