"""Captions as token ids, and the compact table of the tokens that a data set uses."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.prompt import Piece
from nodegraph_diffusion.tokens import END, START, Encode, chunk
from nodegraph_training.dataset import PictureSource
from nodegraph_training.errors import TrainingError

UNKNOWN_SHARE = 0.01
"""How often a token is made unknown in training, so that the row of all others is trained."""


def ids_of(texts: Sequence[str], encode: Encode) -> Tensor:
    """Return the first 77 token ids of each text, (B, 77) int64."""
    rows = [chunk([Piece(text, 1.0)] if text else [], encode)[0].ids for text in texts]
    return torch.tensor(rows, dtype=torch.int64)


def vocabulary(source: PictureSource, encode: Encode, seed: int, draws: int = 4) -> list[int]:
    """Return the ids that captions of a data set use, ascending, start and end among them."""
    rng = np.random.default_rng((seed, 3))
    words = {
        word
        for _ in range(draws)
        for index in range(len(source))
        for word in source.caption(index, rng).split()
    }
    return sorted({START, END, *(token for word in words for token in encode(word))})


def install(model: CLIPTextModel, known: Sequence[int]) -> None:
    """Point each known id at a row of its own; row 0 is that of all others."""
    rows = model.text_model.embeddings.token_rows
    rows.zero_()
    rows[torch.tensor(list(known))] = torch.arange(1, len(known) + 1, dtype=rows.dtype)


def unknown_id(model: CLIPTextModel) -> int | None:
    """Return an id that shares the row of all others, None where every id has its own."""
    rows: Tensor | None = getattr(model.text_model.embeddings, "token_rows", None)
    if rows is None or bool(rows.all()):
        return None
    return int((rows == 0).nonzero()[0, 0])


def check_words(model: CLIPTextModel, source: PictureSource, encode: Encode, seed: int) -> None:
    """See that a text encoder tells the words of a data set apart.

    Raises: TrainingError when captions use tokens without a row of their own.
    """
    rows: Tensor | None = getattr(model.text_model.embeddings, "token_rows", None)
    used = vocabulary(source, encode, seed)
    lost = [] if rows is None else [token for token in used if not rows[token]]
    if lost:
        raise TrainingError(
            f"text encoder: {len(lost)} of the {len(used)} tokens of the captions share one row of "
            "its table, so that it cannot tell them apart; train from scratch, or use its words"
        )


def forget_some(ids: Tensor, unknown: int | None, generator: torch.Generator) -> Tensor:
    """Replace a few ids by one that is not in the table; start, end and padding stay."""
    if unknown is None:
        return ids
    lost = torch.rand(ids.shape, generator=generator) < UNKNOWN_SHARE
    return torch.where(lost & (ids < START), unknown, ids)
