"""Running a network tile by tile where the whole needs too much memory, without visible seams."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

Span = tuple[int, int]


def tiled(
    run: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    size: int,
    overlap: int,
    cell_in: int = 1,
    cell_out: int = 1,
) -> Tensor:
    """Return what `run` makes of x (B, C, H, W), computed in tiles and put together on the CPU.

    Of an overlap the outer quarter on each side is not used, for there a tile lacks its
    surroundings; over the half between, one tile fades linearly into the next. So a `run` that
    looks no further than a quarter of the overlap gives the very result of the whole picture. No
    more than one tile of one picture is given to `run` at a time.

    Args:
        run: maps (1, C, h, w) to (1, D, h', w').
        x: its sides are multiples of `cell_in`.
        size: of a tile in cells.
        overlap: of two tiles in cells, less than `size`.
        cell_in: how many pixels of x a cell has on each side: 8 for encoding, 1 for decoding.
        cell_out: how many pixels of the result a cell has.
    """
    height, width = x.shape[2] // cell_in, x.shape[3] // cell_in
    rows, columns = spans(height, size, overlap), spans(width, size, overlap)
    result, total = torch.zeros(0), torch.zeros(height * cell_out, width * cell_out)
    for i, down, across in product(range(len(x)), rows, columns):
        made = run(x[i : i + 1, :, _cut(down, cell_in), _cut(across, cell_in)])
        part = made[0].to("cpu", torch.float32)
        if not len(result):
            result = torch.zeros(len(x), len(part), *total.shape)
        weight = torch.outer(
            _weight(down, height, overlap, cell_out), _weight(across, width, overlap, cell_out)
        )
        result[i, :, _cut(down, cell_out), _cut(across, cell_out)] += part * weight
        if i == 0:
            total[_cut(down, cell_out), _cut(across, cell_out)] += weight
    return result / total


def spans(length: int, size: int, overlap: int) -> list[Span]:
    """Return where tiles begin and end along one side, at even distances."""
    if length <= size:
        return [(0, length)]
    count = -(-(length - overlap) // (size - overlap))
    starts = [i * (length - size) // (count - 1) for i in range(count)]
    return [(start, start + size) for start in starts]


def _cut(span: Span, cell: int) -> slice:
    return slice(span[0] * cell, span[1] * cell)


def _weight(span: Span, length: int, overlap: int, cell: int) -> Tensor:
    """Return how much each pixel of a tile counts along one side: 1 but for its inner edges."""
    count, fade = (span[1] - span[0]) * cell, overlap * cell / 2
    weight = torch.ones(count)
    if fade:
        ramp = ((torch.arange(count) + 0.5 - fade / 2) / fade).clamp(0.0, 1.0)
        if span[0] > 0:
            weight = weight * ramp
        if span[1] < length:
            weight = weight * ramp.flip(0)
    return weight
