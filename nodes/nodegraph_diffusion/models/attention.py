"""Scaled dot-product attention, computed the way that is fastest where it runs."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v for q (B, H, N, D) and k, v (B, H, M, D).

    On a CPU the backward of PyTorch's fused kernel takes twice the time of the three plain
    products.
    """
    learning = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if not learning or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    exact = (
        torch.float64 if scores.dtype == torch.float64 else torch.float32
    )  # and faster than in bfloat16
    return torch.softmax(scores, dim=-1, dtype=exact).to(v.dtype) @ v


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn (B, N, heads * D) into (B, heads, N, D)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Turn (B, heads, N, D) into (B, N, heads * D)."""
    return x.transpose(1, 2).flatten(2)
