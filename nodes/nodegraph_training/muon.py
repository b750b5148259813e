"""Muon: momentum whose matrices are made orthogonal before each step.

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the scale of the update after
Liu et al. 2025 (arXiv 2502.16982), doubled. `Settings.optimizer` chooses AdamW instead, to compare.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

MOMENTUM = 0.95
UPDATE = 0.4
"""The root mean square of an update at a learning rate of 1; AdamW's is 0.2 to 0.4."""
SMALLEST = 16
"""Matrices with fewer rows or columns are left to AdamW."""

Spread = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]


def suits(name: str, weight: Tensor) -> bool:
    """Tell whether a weight is a matrix, a kernel's inputs flattened; tables of vectors are not."""
    return weight.ndim > 1 and "embedding" not in name and min(weight.flatten(1).shape) >= SMALLEST


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return about the nearest matrix (rows, columns) with singular values near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.t() if tall else matrix
    x = x / (x.square().sum().sqrt() + 1e-7)
    for _ in range(steps):
        square = x @ x.t()
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


class Muon:
    """The optimiser: weights, and one momentum for each."""

    def __init__(self, weights: Sequence[Tensor], weight_decay: float) -> None:
        """Begin with momenta of zero."""
        self.weights = list(weights)
        self.momenta = [torch.zeros_like(weight) for weight in weights]
        self.weight_decay = weight_decay

    def step(self, gradients: Sequence[Tensor], rate: float, spread: Spread) -> None:
        """Move every weight; `spread` is a `map` that may use several threads."""

        @torch.no_grad()  # holds for one thread only, so it stands here
        def move(place: int) -> None:
            weight, momentum, gradient = self.weights[place], self.momenta[place], gradients[place]
            momentum.lerp_(gradient, 1.0 - MOMENTUM)
            update = orthogonalize(gradient.lerp(momentum, MOMENTUM).flatten(1))
            scale = UPDATE * max(update.shape) ** 0.5
            weight.mul_(1.0 - rate * self.weight_decay)
            weight.add_(update.view_as(weight), alpha=-rate * scale)

        largest_first = sorted(
            range(len(self.weights)), key=lambda place: -self.weights[place].numel()
        )
        for _ in spread(move, largest_first):
            pass
