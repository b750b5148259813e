"""The CLIP text encoder that turns token ids into the UNet's context."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodegraph_diffusion.models.attention import attend, join_heads, split_heads

VOCABULARY = 49408  # the ids of CLIP's tokenizer


@dataclass(frozen=True)
class CLIPTextConfig:
    """Describe a text encoder; the defaults are Stable Diffusion 1's (CLIP ViT-L/14).

    `rows` is the length of a compact token table: a buffer maps the tokenizer's ids to its rows.
    None stores one row for each id.
    """

    positions: int = 77
    width: int = 768
    inner_width: int = 3072
    layers: int = 12
    heads: int = 12
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    rows: int | None = None


class CLIPAttention(nn.Module):
    """Attention of each token to itself and those before it."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.q_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to the same shape."""
        q, k, v = (split_heads(f(x), self.heads) for f in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(join_heads(attend(q, k, v, causal=True)))


class CLIPMLP(nn.Module):
    """Two layers applied to each token by itself."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.quick = config.activation == "quick_gelu"
        self.fc1 = nn.Linear(config.width, config.inner_width)
        self.fc2 = nn.Linear(config.inner_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to the same shape."""
        h = self.fc1(x)
        return self.fc2(h * torch.sigmoid(1.702 * h) if self.quick else F.gelu(h))


class CLIPLayer(nn.Module):
    """Attention and MLP, each normalised before and beside a shortcut."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.self_attn = CLIPAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.width)
        self.mlp = CLIPMLP(config)
        self.layer_norm2 = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to the same shape."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class CLIPEmbeddings(nn.Module):
    """The vectors of tokens and of their places."""

    token_rows: Tensor

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.rows or VOCABULARY, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)
        if config.rows is not None:
            self.register_buffer("token_rows", torch.zeros(VOCABULARY, dtype=torch.int32))

    def forward(self, ids: Tensor) -> Tensor:
        """Map token ids (B, T) to (B, T, C)."""
        if hasattr(self, "token_rows"):
            ids = self.token_rows[ids]
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


class CLIPEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CLIPLayer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, skip: int = 0) -> Tensor:
        """Map (B, T, C) to the same shape, leaving out the last `skip` layers."""
        for layer in self.layers[: len(self.layers) - skip]:
            x = layer(x)
        return x


class CLIPTextTransformer(nn.Module):
    """Embeddings, layers and the last normalisation."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.embeddings = CLIPEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(self, ids: Tensor, skip: int = 0) -> Tensor:
        """Map token ids (B, T) to (B, T, C)."""
        return self.final_layer_norm(self.encoder(self.embeddings(ids), skip))


class CLIPTextModel(nn.Module):
    """CLIP's text encoder.

    Source: arXiv 2103.00020, section 2.4; names as below `cond_stage_model.transformer` in the
    released checkpoints.
    """

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = CLIPTextTransformer(config)

    def forward(self, ids: Tensor, skip: int = 0) -> Tensor:
        """Return the context (B, T, width) of token ids (B, T), T at most 77.

        Args:
            ids: ids of CLIP's tokenizer, padded by the caller.
            skip: how many of the last layers to leave out; the last normalisation stays.
        """
        return self.text_model(ids, skip)
