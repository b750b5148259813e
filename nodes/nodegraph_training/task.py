"""What the loop asks of a thing to be trained."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """One worker's share of a step: its samples, and the random numbers that belong to them."""

    indices: NDArray[np.int64]
    step: int
    numpy: np.random.Generator
    torch: torch.Generator


def as_input(x: Tensor, model: nn.Module) -> Tensor:
    """Return x (B, C, H, W) as a model computes: its device, its dtype, channels-last."""
    like = next(model.parameters())
    return x.to(like.device, like.dtype).contiguous(memory_format=torch.channels_last)


class Task(Protocol):
    """A model and how it learns; precision, optimiser, average and checkpoints are the loop's."""

    model: nn.Module
    """The trainable weights and nothing else, float32, on the CPU."""

    count: int
    """The number of samples in the data set."""

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss of the batch under `model`, a copy in the computing precision."""
        ...

    def preview(self, model: nn.Module) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) uint8 RGB of what the averaged weights can do now."""
        ...
