"""Group normalisation with an optional SiLU, fast in both memory layouts and in every dtype."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class GroupNorm(nn.GroupNorm):
    """Group normalisation, followed by SiLU where `silu` says so.

    PyTorch's own kernel is quick for (B, C, H, W) in memory order, but on a CPU up to fifty times
    slower for channels-last tensors in bfloat16; those take the few passes over memory written out
    below instead.
    """

    def __init__(
        self, groups: int, channels: int, *, eps: float = 1e-5, silu: bool = False
    ) -> None:
        super().__init__(groups, channels, eps=eps)  # pyright: ignore[reportUnknownMemberType]
        self.silu = silu

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over the pixels of each group of channels."""
        x = input
        if _is_channels_last(x) and x.device.type == "cpu" and x.dtype != torch.float64:
            return _normalize_channels_last(
                x, self.weight, self.bias, self.num_groups, self.eps, self.silu
            )
        y = F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        return F.silu(y, inplace=not torch.is_grad_enabled()) if self.silu else y


def _normalize_channels_last(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool
) -> Tensor:
    apply: Callable[..., Tensor] = _ChannelsLast.apply  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return apply(x, weight, bias, groups, eps, silu)


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _rows(x: Tensor) -> Tensor:
    """View channels-last (B, C, H, W) as (B, H*W, C) in float32."""
    return x.permute(0, 2, 3, 1).flatten(1, 2).float()


def _pixels(rows: Tensor, like: Tensor) -> Tensor:
    """Undo `_rows`, in the dtype of `like`."""
    batch, channels, height, width = like.shape
    return rows.to(like.dtype).view(batch, height, width, channels).permute(0, 3, 1, 2)


def _per_group(sums: Tensor, groups: int, pixels: int) -> Tensor:
    """Turn sums over pixels (B, C) into means over each group, repeated per channel: (B, 1, C)."""
    size = sums.shape[1] // groups
    means = sums.view(-1, groups, size).sum(dim=2) / (pixels * size)
    return means.repeat_interleave(size, dim=1).unsqueeze(1)


class _ChannelsLast(torch.autograd.Function):
    """The same normalisation over (B, H*W, C) rows, in float32 and keeping no intermediate."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool
    ) -> Tensor:
        rows = _rows(x)
        pixels = rows.shape[1]
        mean = _per_group(rows.sum(dim=1), groups, pixels)
        centred = rows - mean
        rstd = (_per_group((centred * centred).sum(dim=1), groups, pixels) + eps).rsqrt()
        y = torch.addcmul(bias.float(), centred, rstd * weight.float(), out=centred)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.silu = groups, silu
        return _pixels(F.silu(y, inplace=True) if silu else y, x)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        centred = _rows(x) - mean
        scale = rstd * weight.float()
        dy = _rows(grad)
        if ctx.silu:
            y = torch.addcmul(bias.float(), centred, scale)
            dy = torch.ops.aten.silu_backward(dy, y)
        sum_dy = dy.sum(dim=1)  # (B, C)
        sum_dy_x = (dy * centred).sum(dim=1)
        need_x, need_weight, need_bias = ctx.needs_input_grad[:3]
        dx = dweight = dbias = None
        if need_x:
            w, pixels = weight.float(), centred.shape[1]
            offset = -rstd * _per_group(sum_dy * w, ctx.groups, pixels)
            slope = -(rstd**3) * _per_group(sum_dy_x * w, ctx.groups, pixels)
            dx = _pixels(torch.addcmul(offset, dy, scale).addcmul_(centred, slope), x)
        if need_weight:
            dweight = (sum_dy_x * rstd.squeeze(1)).sum(dim=0).to(weight.dtype)
        if need_bias:
            dbias = sum_dy.sum(dim=0).to(bias.dtype)
        return dx, dweight, dbias, None, None, None
