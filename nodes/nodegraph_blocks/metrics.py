"""How well a picture follows a hint and a prompt: pure functions over arrays and readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from nodegraph_blocks.annotator import Found
from nodegraph_blocks.scene import Thing

Masks = NDArray[np.bool_]
Scores = NDArray[np.floating[Any]]

TOLERANCE: Final = 2.0  # pixels
CANDIDATES: Final = 100  # hints among which an output's own has to be the nearest


def edge_f1(found: Masks, wanted: Masks, tolerance: float = TOLERANCE) -> Scores:
    """Compare edges `(n, H, W)` with wanted edges `(m, H, W)`: `(n, m)` F1 scores in [0, 1].

    An edge pixel counts as met where the other edges come within `tolerance` pixels. Two empty
    edge maps agree (1), an empty and a full one do not (0).
    """
    rows, columns = _flat(found), _flat(wanted)
    precision = _share_near(rows, _flat(near(wanted, tolerance)))
    recall = _share_near(columns, _flat(near(found, tolerance))).T
    total = precision + recall
    f1 = np.where(total > 0, 2 * precision * recall / np.maximum(total, 1e-12), 0.0)
    both_empty = (rows.sum(1) == 0)[:, None] & (columns.sum(1) == 0)[None, :]
    return np.where(both_empty, 1.0, f1)


def near(edges: Masks, tolerance: float = TOLERANCE) -> Masks:
    """Mark what lies within `tolerance` pixels of an edge, `(n, H, W)`."""
    result = np.zeros(edges.shape, np.bool_)
    for row, edge in enumerate(edges):
        if edge.any():  # OpenCV measures an empty map by its sides, where nothing is near
            others = (~edge).astype(np.uint8)
            distance = np.asarray(cv2.distanceTransform(others, cv2.DIST_L2, 5), np.float32)
            result[row] = distance <= tolerance
    return result


def depth_error(found: Scores, wanted: Scores, where: Masks | None = None) -> Scores:
    """Give the mean absolute difference of depth hints `(n, H, W)` in [0, 1], one per picture."""
    difference = np.abs(found - wanted)
    weight = np.ones(difference.shape) if where is None else where.astype(np.float64)
    total = np.maximum(weight.sum(axis=(1, 2)), 1)
    result: Scores = (difference * weight).sum(axis=(1, 2)) / total
    return result


def depth_nearness(found: Scores, wanted: Scores) -> Scores:
    """Give minus the mean absolute difference of each of `n` with each of `m` depth hints."""
    rows, columns = found.reshape(len(found), -1), wanted.reshape(len(wanted), -1)
    return np.stack([-np.abs(columns - row).mean(axis=1) for row in rows])


def retrieval(nearness: Scores, candidates: int = CANDIDATES) -> float:
    """Give the share of outputs (rows) whose own hint (same column) is the nearest of some.

    The candidates of row i are hint i and those that follow it, in a circle; a tie is a miss.
    """
    count = len(nearness)
    chosen = min(candidates, count)
    hits = 0
    for row in range(count):
        columns = (row + np.arange(chosen)) % count
        scores = nearness[row, columns]
        hits += bool((scores[0] > scores[1:]).all())
    return hits / count


def named_share(named: Sequence[Hashable], found: Iterable[Hashable]) -> tuple[int, int]:
    """Count the named properties that were found, each at most as often as named, and all named."""
    wanted = Counter(named)
    return (wanted & Counter(found)).total(), wanted.total()


def prompt_scores(
    scenes: Sequence[Sequence[Thing]], found: Sequence[Sequence[Found]]
) -> dict[str, float]:
    """Say which share of the colours, shapes and pairs that prompts name was found, and counts.

    `colour`, `shape`, `both` are shares of all named things, `count` the share of pictures with
    exactly as many things as named.
    """
    hits: Counter[str] = Counter()
    for things, seen in zip(scenes, found, strict=True):
        hits["things"] += len(things)
        hits["colour"] += named_share([t.colour for t in things], (f.colour for f in seen))[0]
        hits["shape"] += named_share([t.shape for t in things], (f.shape for f in seen))[0]
        pairs = [(t.colour, t.shape) for t in things]
        hits["both"] += named_share(pairs, ((f.colour, f.shape) for f in seen))[0]
        hits["count"] += len(things) == len(seen)
    shares = {name: hits[name] / max(hits["things"], 1) for name in ("colour", "shape", "both")}
    return {**shares, "count": hits["count"] / max(len(scenes), 1)}


def _flat(masks: Masks) -> NDArray[np.float32]:
    return masks.reshape(len(masks), -1).astype(np.float32)


def _share_near(edges: NDArray[np.float32], zones: NDArray[np.float32]) -> Scores:
    """Give which share of the edge pixels of each row lies in each zone."""
    share: Scores = (edges @ zones.T) / np.maximum(edges.sum(1), 1)[:, None]
    return share
