"""What controls and adapters may add to one call of the UNet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class AttentionSite:
    """Say which attention layer a hook is called from.

    `name` is the layer's path in the original checkpoint, `size` the height and width of the
    queries' picture.
    """

    name: str
    cross: bool
    width: int
    heads: int
    size: tuple[int, int]


class AttentionHook:
    """Change attention from outside; each method is called once per layer and may change nothing.

    The three places serve hypernetworks and reference control (`context`), style sharing and
    weighting of tokens (`project`) and image prompts (`output`).
    """

    def context(
        self, site: AttentionSite, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Return what keys and values are computed from, (B, M, D) each, or None to keep it."""
        return None

    def project(
        self, site: AttentionSite, q: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (B, heads, tokens, D)."""
        return q, k, v

    def output(self, site: AttentionSite, q: Tensor, result: Tensor) -> Tensor:
        """Return the attention's result (B, heads, N, D), before its output projection."""
        return result


@dataclass(frozen=True)
class Injection:
    """Everything that wrappers around a UNet ask it to add in one call.

    `skips[i]` (B, C_i, h_i, w_i) is added to the output of input block i only on its way to the
    decoder, `middle` to the output of the middle block (ControlNet: arXiv 2302.05543, section 3.2).
    `stream[i]` is added to the output of input block i where it is made, so that all later blocks
    see it (T2I-Adapter: arXiv 2302.08453). `check` is called before each block and may raise to
    stop the call. A batch of one row serves all rows.
    """

    middle: Tensor | None = None
    skips: Sequence[Tensor | None] | None = None
    stream: Mapping[int, Tensor] = field(default_factory=dict[int, Tensor])
    attention: tuple[AttentionHook, ...] = ()
    check: Callable[[], None] | None = None

    def with_residuals(self, residuals: Sequence[Tensor | None]) -> "Injection":
        """Return a copy with a ControlNet's residuals added: one per skip, then the middle's."""
        *skips, middle = residuals
        before = self.skips if self.skips is not None else [None] * len(skips)
        added = [_sum(old, new) for old, new in zip(before, skips, strict=True)]
        return replace(self, middle=_sum(self.middle, middle), skips=added)

    def with_attention(self, hook: AttentionHook) -> "Injection":
        """Return a copy with one more attention hook, called after those already there."""
        return replace(self, attention=(*self.attention, hook))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def inject(x: Tensor, added: Tensor | None, place: str) -> Tensor:
    """Add an injected tensor to x (B, C, h, w).

    Raises:
        ValueError: the shapes differ in more than a batch of one row.
    """
    if added is None:
        return x
    if added.shape[1:] != x.shape[1:] or added.shape[0] not in (1, x.shape[0]):
        raise ValueError(
            f"{place}: an injected tensor has shape {tuple(added.shape)} where {tuple(x.shape)} "
            "is needed; the control belongs to another model or another picture size"
        )
    return x + added.to(x.dtype)
