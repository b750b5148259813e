"""The conditioning: what a prompt became, and the batch of it that a network sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import lcm
from pathlib import Path

import torch
from torch import Tensor

from nodegraph import Codec, port

from .examples import WIDTH
from .storage import digest_of, read_tensors, size_of, write_tensors

NAME = "conditioning.safetensors"

POSITIVE, NEGATIVE = "positive", "negative"


class ConditioningCodec(Codec["Conditioning"]):
    """Conditionings as safetensors files, one tensor a field."""

    @staticmethod
    def dump(value: "Conditioning", folder: Path) -> None:
        """Store the conditioning."""
        write_tensors(value.tensors(), folder / NAME)

    @staticmethod
    def restore(folder: Path) -> "Conditioning":
        """Give back a stored conditioning."""
        return Conditioning(**read_tensors(folder / NAME))

    @staticmethod
    def size(value: "Conditioning") -> int:
        """Count the bytes of all fields."""
        return size_of(value.tensors())

    @staticmethod
    def digest(value: "Conditioning") -> str:
        """Digest all fields."""
        return digest_of(value.tensors())

    @staticmethod
    def describe(value: "Conditioning") -> str:
        """Say how many tokens of which width."""
        return f"{value.context.shape[1]} tokens x {value.context.shape[2]}"

    @staticmethod
    def examples() -> "list[Conditioning]":
        """Give the contexts of a short and of a long prompt, as wide as the example networks."""
        shapes = ((1, tokens, WIDTH) for tokens in (77, 154))
        return [Conditioning(torch.linspace(-1, 1, math.prod(s)).reshape(s)) for s in shapes]


@port(codec=ConditioningCodec)
@dataclass(frozen=True, eq=False)
class Conditioning:
    """A prompt as the networks read it; all fields float32 on the CPU, of batch 1 or the latent's.

    Weights of words are already in the context.
    """

    context: Tensor
    """Tokens for cross-attention, (B, T, D)."""
    pooled: Tensor | None = None
    """One vector for the whole text, (B, P)."""
    vector: Tensor | None = None
    """Sizes and whatever else a network embeds beside the timestep, (B, V): SDXL."""
    concat: Tensor | None = None
    """Channels that follow the latent's own, (B, C, H/8, W/8): inpainting models."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields that are there, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, eq=False)
class Rows:
    """R conditionings as one call of a network sees them; each knows where it belongs.

    Compared and hashed by identity: what a run computes once for these rows is kept under them.
    """

    context: Tensor  # (R, T, D)
    branches: tuple[str, ...]
    """For each row "positive", "negative", or the name of a region."""
    samples: tuple[int, ...]
    """For each row which latent of the batch it belongs to."""
    pooled: Tensor | None = None
    vector: Tensor | None = None
    concat: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.branches)

    def where(self, branch: str) -> list[int]:
        """Return the rows of a branch."""
        return [i for i, name in enumerate(self.branches) if name == branch]

    def take(self, rows: Sequence[int]) -> "Rows":
        """Return some of the rows."""
        chosen = list(rows)
        tensors = {
            name: value[chosen]
            for name in ("context", "pooled", "vector", "concat")
            if (value := getattr(self, name)) is not None
        }
        return replace(
            self,
            branches=tuple(self.branches[i] for i in chosen),
            samples=tuple(self.samples[i] for i in chosen),
            **tensors,
        )


def stack(branches: Sequence[tuple[str, Conditioning]], batch: int) -> Rows:
    """Lay out `batch` latents under each of several conditionings, branch after branch.

    Contexts of unlike length are repeated up to their least common multiple: attention over a
    repeated context is attention over the context, so this is exact.

    Raises:
        ValueError: a conditioning for another batch, or fields that one has and another lacks.
    """
    length = lcm(*(conditioning.context.shape[1] for _, conditioning in branches))
    parts = [conditioning.tensors() for _, conditioning in branches]
    if len({tuple(part) for part in parts}) > 1:
        lists = " and ".join(
            f"{name!r} {sorted(part)}" for (name, _), part in zip(branches, parts, strict=True)
        )
        raise ValueError(f"conditioning: {lists} do not match; make both with the same nodes")
    for part in parts:
        part["context"] = part["context"].repeat(1, length // part["context"].shape[1], 1)
    tensors = {
        name: torch.cat([_expand(name, part[name], batch) for part in parts]) for name in parts[0]
    }
    return Rows(
        branches=tuple(name for name, _ in branches for _ in range(batch)),
        samples=tuple(range(batch)) * len(branches),
        **tensors,
    )


def _expand(name: str, value: Tensor, batch: int) -> Tensor:
    if value.shape[0] not in (1, batch):
        raise ValueError(
            f"conditioning: {name} is for {value.shape[0]} latents, there are {batch}; "
            "give one for all, or one each"
        )
    return value.expand(batch, *value.shape[1:])
