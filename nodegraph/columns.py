"""Arranges a diagram in columns, so that arrows go to the right and cross little."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .diagram import Arrow, Diagram

SWEEPS: Final = 12
"""How often columns are ordered by what they are linked with."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Ids by column, from top to bottom; `ways` are the ids that each arrow passes on its way.

    An id that is no box's is a place that an arrow passes between two boxes.
    """

    ids: tuple[tuple[str, ...], ...]
    ways: tuple[tuple[str, ...], ...]


def arrange(drawn: Diagram) -> Columns:
    """Put boxes into columns and order these by the mean place of what each is linked with.

    Source: Sugiyama, Tagawa and Toda 1981: layers, places for long arrows, barycentres.
    """
    depth = _depths(drawn)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for box in drawn.boxes:
        columns[depth[box.id]].append(box.id)
    ways: list[tuple[str, ...]] = []
    linked: dict[str, list[str]] = {box.id: [] for box in drawn.boxes}
    for number, arrow in enumerate(drawn.arrows):
        between = range(depth[arrow.source] + 1, depth[arrow.target])
        way = (arrow.source, *(f"~{number}.{column}" for column in between), arrow.target)
        for where, id_ in zip(between, way[1:-1], strict=True):
            columns[where].append(id_)
        for one, other in pairwise(way):
            linked.setdefault(one, []).append(other)
            linked.setdefault(other, []).append(one)
        ways.append(way)
    place = {id_: at for column in columns for id_, at in _places(column).items()}
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            mean = {id_: _mean([place[o] for o in linked[id_]], place[id_]) for id_ in column}
            column.sort(key=mean.__getitem__)
            place.update(_places(column))
    return Columns(tuple(map(tuple, columns)), tuple(ways))


def _places(column: list[str]) -> dict[str, float]:
    return {id_: (i + 0.5) / len(column) for i, id_ in enumerate(column)}


def _mean(places: list[float], own: float) -> float:
    return sum(places) / len(places) if places else own


def _depths(drawn: Diagram) -> dict[str, int]:
    """Return each box's column: right of what it takes from, close to what takes from it."""
    depth = {box.id: 0 for box in drawn.boxes}
    forward = _forward(drawn)
    for _ in depth:
        before = dict(depth)
        for arrow in forward:
            depth[arrow.target] = max(depth[arrow.target], depth[arrow.source] + 1)
        if depth == before:
            break
    targets = {arrow.target for arrow in forward}
    for id_ in depth.keys() - targets:
        after = [depth[arrow.target] for arrow in forward if arrow.source == id_]
        depth[id_] = min(after) - 1 if after else depth[id_]
    return depth


def _forward(drawn: Diagram) -> list[Arrow]:
    """Return the arrows without those that close a cycle; a wrong flow can be drawn, too."""
    after: dict[str, list[str]] = {box.id: [] for box in drawn.boxes}
    waits = {box.id: 0 for box in drawn.boxes}
    for arrow in drawn.arrows:
        after[arrow.source].append(arrow.target)
        waits[arrow.target] += 1
    order: list[str] = []
    left = dict.fromkeys(waits)
    while left:
        ready = next((id_ for id_ in left if not waits[id_]), next(iter(left)))
        del left[ready]
        order.append(ready)
        for target in after[ready]:
            waits[target] -= 1
    place = {id_: index for index, id_ in enumerate(order)}
    return [arrow for arrow in drawn.arrows if place[arrow.source] < place[arrow.target]]
