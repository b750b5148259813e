"""The node that turns a prompt into a conditioning."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from nodegraph import Family, node

from .conditioning import Conditioning
from .models.clip import CLIPTextModel
from .prompt import parse
from .tokens import Chunk, chunk, tokenizer
from .values import TextEncoder


@node
def encode_text(
    text_encoder: Annotated[TextEncoder, Family("F")],
    *,
    text: str,
    weighting: Literal["comfy", "a1111", "plain"] = "comfy",
) -> Annotated[Conditioning, Family("F")]:
    r"""Turn a prompt into what the networks attend to.

    `(words)` count 1.1 times as much, nested parentheses multiply, `(words:1.3)` count 1.3 times;
    write `\(` and `\)` for plain parentheses. Prompts of more than 75 tokens are encoded in chunks
    of 75, up to 4,800 tokens.

    `weighting` says what a weight w does. "comfy": a token's vector z becomes z_empty + w (z -
    z_empty), z_empty that of the empty prompt, and an inner number replaces an outer one. "a1111":
    z becomes w z, each chunk gets back the mean it had, inner numbers multiply outer ones, and
    `[words]` count 1/1.1 times. "plain": parentheses are text.

    Raises:
        ValueError: the prompt is too long or no text, a weight is too strong, or what became of it
            is not finite.
    """
    model = text_encoder.model
    chunks = chunk(parse(text, weighting), tokenizer(), length=model.config.positions)
    with torch.inference_mode():
        z = _encode(model, chunks)
        weights = torch.tensor([c.weights for c in chunks])[..., None]  # (chunks, 77, 1)
        if weighting == "a1111" and _weighted(chunks):
            z = restore_mean(z, weights)
        elif _weighted(chunks):
            empty = _encode(model, chunk([], tokenizer(), length=model.config.positions))
            z = empty + weights * (z - empty)
    if not bool(z.isfinite().all()):
        raise ValueError(
            "encode_text: the encoded text is not finite; weaken the weights, or run with "
            "--dtype float32"
        )
    return Conditioning(z.reshape(1, -1, z.shape[2]).clone())  # cloned, it may be trained with


def restore_mean(z: Tensor, weights: Tensor) -> Tensor:
    """Multiply vectors (N, T, D) by weights (N, T, 1) and scale each chunk to the mean it had.

    Source: AUTOMATIC1111/stable-diffusion-webui, emphasis "Original", chunk by chunk.
    """
    weighted = z * weights
    return weighted * (z.mean((1, 2), True) / weighted.mean((1, 2), True))


def _encode(model: CLIPTextModel, chunks: tuple[Chunk, ...]) -> Tensor:
    """Return (chunks, 77, D) float32 on the CPU."""
    device = next(model.parameters()).device
    ids = torch.tensor([c.ids for c in chunks], device=device)
    encoded: Tensor = model(ids)
    return encoded.float().cpu()


def _weighted(chunks: tuple[Chunk, ...]) -> bool:
    return any(weight != 1.0 for c in chunks for weight in c.weights)
