"""Group normalisation with an optional SiLU, fast in both memory layouts and in every dtype."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Group normalisation, followed by SiLU where `silu` says so."""

    def __init__(self, groups: int, channels: int, *, eps: float = 1e-5, silu: bool = False) -> None:
        super().__init__(groups, channels, eps=eps)
        self.silu = silu

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W) over the pixels of each group of channels."""
        channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        if channels_last and x.device.type == "cpu":
            x = x.contiguous()
        x = F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        if self.silu:
            x = F.silu(x)
        if channels_last and x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        return x
