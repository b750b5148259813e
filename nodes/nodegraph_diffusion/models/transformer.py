"""The UNet's transformer: attention among a picture's pixels and to the words of its prompt."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from nodegraph_diffusion.models.attention import attend, join_heads, split_heads
from nodegraph_diffusion.models.injection import AttentionHook, AttentionSite
from nodegraph_diffusion.models.normalization import GroupNorm


@dataclass(frozen=True)
class ContextKV:
    """A batch of texts (B, T, D) with the keys and values (B, heads, T, D) of each layer."""

    context: Tensor
    layers: dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Attending:
    """What the attention layers of one call share."""

    context: ContextKV
    hooks: tuple[AttentionHook, ...]
    size: tuple[int, int] = (0, 0)


class CrossAttention(nn.Module):
    """Attention from pixels to pixels, or to the text where `context_width` is given."""

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.name = ""  # the path in the whole model, set there
        self.heads = heads
        self.cross = context_width is not None
        source = context_width or width
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(source, width, bias=False)
        self.to_v = nn.Linear(source, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def project(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, heads, M, D) computed from (B, M, source) each."""
        return split_heads(self.to_k(keys), self.heads), split_heads(self.to_v(values), self.heads)

    def forward(self, x: Tensor, call: Attending) -> Tensor:
        """Map tokens (B, N, C) to the same shape."""
        q = split_heads(self.to_q(x), self.heads)
        if not call.hooks:
            k, v = call.context.layers[self.name] if self.cross else self.project(x, x)
            return self.to_out(join_heads(attend(q, k, v)))
        return self.to_out(join_heads(self._hooked(x, q, call)))

    def _hooked(self, x: Tensor, q: Tensor, call: Attending) -> Tensor:
        site = AttentionSite(self.name, self.cross, x.shape[2], self.heads, call.size)
        keys = values = call.context.context if self.cross else x
        changed = False
        for hook in call.hooks:
            replaced = hook.context(site, keys, values)
            if replaced is not None:
                keys, values, changed = *replaced, True
        ready = self.cross and not changed
        k, v = call.context.layers[self.name] if ready else self.project(keys, values)
        for hook in call.hooks:
            q, k, v = hook.project(site, q, k, v)
        result = attend(q, k, v)
        for hook in call.hooks:
            result = hook.output(site, q, result)
        return result


class GEGLU(nn.Module):
    """A linear layer whose one half gates the other (arXiv 2002.05202)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, width) to (B, N, inner)."""
        # two products instead of one: GELU is three times slower on half of a wider tensor
        (w_value, w_gate), (b_value, b_gate) = self.proj.weight.chunk(2), self.proj.bias.chunk(2)
        return F.linear(x, w_value, b_value) * F.gelu(F.linear(x, w_gate, b_gate))


class FeedForward(nn.Module):
    """Two layers applied to each token by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # the original has dropout at place 1
        self.net = nn.Sequential(
            GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape."""
        return self.net(x)


class BasicTransformerBlock(nn.Module):
    """Attention to the picture, attention to the text, feed-forward; each beside a shortcut."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.attn1 = CrossAttention(width, heads)
        self.ff = FeedForward(width)
        self.attn2 = CrossAttention(width, heads, context_width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, call: Attending) -> Tensor:
        """Map tokens (B, N, C) to the same shape."""
        x = x + self.attn1(self.norm1(x), call)
        x = x + self.attn2(self.norm2(x), call)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer blocks over the pixels of a feature map, beside a shortcut.

    `linear` says how the checkpoint stores the two projections: as matrices (SD 2, SDXL) or as 1x1
    convolutions.
    """

    def __init__(
        self, width: int, heads: int, context_width: int, depth: int, *, groups: int, linear: bool
    ) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(width, heads, context_width) for _ in range(depth)
        )
        self.proj_out = nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, context: ContextKV, hooks: tuple[AttentionHook, ...]) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        height, width = x.shape[2:]
        call = Attending(context, hooks, (height, width))
        tokens = _project(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2), self.proj_in)
        for block in self.transformer_blocks:
            tokens = block(tokens, call)
        tokens = _project(tokens, self.proj_out)
        return x + tokens.transpose(1, 2).reshape(x.shape)


def _project(tokens: Tensor, layer: nn.Linear | nn.Conv2d) -> Tensor:
    return F.linear(tokens, layer.weight.flatten(1), layer.bias)  # a 1x1 convolution is a matrix
