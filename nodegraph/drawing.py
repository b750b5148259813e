"""Draws a diagram of boxes and arrows as SVG or PNG."""

import math
from dataclasses import dataclass
from io import BytesIO
from typing import Final
from xml.sax.saxutils import escape

from .columns import arrange
from .diagram import Box, Diagram
from .errors import NodegraphError, one_line

MOST_BOXES: Final = 500
"""Boxes of a drawing; more would be a picture that nobody can look at."""
MOST_ARROWS: Final = 2000
WIDTH: Final = 190
HEAD: Final = 40
ROW: Final = 16
GAP_ACROSS: Final = 130
GAP_DOWN: Final = 22
MARGIN: Final = 24
COLOURS: Final = {
    "input": ("#e8f1fb", "#3b6ea5"),
    "node": ("#ffffff", "#555555"),
    "output": ("#eaf6ea", "#3f8a3f"),
}
INK, LINE, NOTE, PAPER = "#222222", "#9a9a9a", "#6a6a6a", "#ffffff"
Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
Text = tuple[str, float, float, int, str]
"""What, where (x, y of its middle line), how large, and its anchor: start, middle or end."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is, in pixels: boxes with their corners, curves of arrows, texts."""

    size: tuple[int, int]
    boxes: tuple[tuple[Box, Point, float], ...]
    arrows: tuple[tuple[Curve, ...], ...]
    texts: tuple[Text, ...]


def layout(drawn: Diagram) -> Layout:
    """Place columns side by side, each in the middle; ports are rows, arrows end at their row.

    Raises:
        NodegraphError: there are more boxes than a picture can show.
    """
    if len(drawn.boxes) > MOST_BOXES:
        said = f"{len(drawn.boxes)} boxes are more than a picture can show ({MOST_BOXES})"
        raise NodegraphError(f"graph: {said}; use Mermaid")
    if len(drawn.arrows) > MOST_ARROWS:
        said = f"{len(drawn.arrows)} links are more than a picture can show ({MOST_ARROWS})"
        raise NodegraphError(f"graph: {said}; use Mermaid")
    columns = arrange(drawn)
    ports: dict[str, list[int]] = {box.id: [] for box in drawn.boxes}
    for number, arrow in enumerate(drawn.arrows):
        ports[arrow.target].append(number)
    boxes = {box.id: box for box in drawn.boxes}
    tall = {id_: HEAD + ROW * _rows(boxes[id_], ports[id_]) for id_ in boxes}
    sums = [sum(tall.get(i, ROW) for i in c) + GAP_DOWN * (len(c) - 1) for c in columns.ids]
    places: dict[str, Point] = {}
    for number, column in enumerate(columns.ids):
        y = MARGIN + (max(sums) - sums[number]) / 2
        for id_ in column:
            places[id_] = (MARGIN + number * (WIDTH + GAP_ACROSS), y)
            y += tall.get(id_, ROW) + GAP_DOWN
    texts = [text for id_, box in boxes.items() for text in _head(box, places[id_])]
    curves: list[tuple[Curve, ...]] = []
    for number, (arrow, way) in enumerate(zip(drawn.arrows, columns.ways, strict=True)):
        x, y = places[arrow.target]
        row = y + HEAD / 2
        if _rows(boxes[arrow.target], ports[arrow.target]):
            row = y + HEAD + ROW * (ports[arrow.target].index(number) + 0.5) - 4
            texts.append((_short(arrow.port, 24), x + 10, row, 10, "start"))
        texts.append((_short(arrow.type, 18), x - 9, row - 7, 10, "end"))
        x0, y0 = places[arrow.source]
        stops = [(x0 + WIDTH, y0 + HEAD / 2)]
        for id_ in way[1:-1]:
            stops += [(places[id_][0], places[id_][1] + ROW / 2)]
            stops += [(places[id_][0] + WIDTH, places[id_][1] + ROW / 2)]
        curves.append(tuple(map(_curve, stops, [*stops[1:], (x, row)])))
    width = 2 * MARGIN + len(columns.ids) * (WIDTH + GAP_ACROSS) - GAP_ACROSS
    size = width, math.ceil(2 * MARGIN + max(sums))
    drawn_boxes = tuple((box, places[id_], tall[id_]) for id_, box in boxes.items())
    return Layout(size, drawn_boxes, tuple(curves), tuple(t for t in texts if t[0]))


def _rows(box: Box, ports: list[int]) -> int:
    return len(ports) if box.kind == "node" else 0


def _head(box: Box, place: Point) -> list[Text]:
    x, y = place[0] + WIDTH / 2, place[1]
    if not box.subtitle:
        return [(_short(box.title, 24), x, y + HEAD / 2, 13, "middle")]
    return [
        (_short(box.title, 24), x, y + 13, 13, "middle"),
        (_short(box.subtitle, 30), x, y + 28, 11, "middle"),
    ]


def _curve(a: Point, b: Point) -> Curve:
    bend = (b[0] - a[0]) / 2
    return a, (a[0] + bend, a[1]), (b[0] - bend, b[1]), b


def _at(curve: Curve, t: float) -> Point:
    """Return the point of a Bezier curve at a share of its way."""
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    x = sum(w * p[0] for w, p in zip(weights, curve, strict=True))
    return x, sum(w * p[1] for w, p in zip(weights, curve, strict=True))


def svg(drawn: Diagram) -> str:
    """Return a drawing that any browser shows."""
    placed = layout(drawn)
    width, height = placed.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker></defs>',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
    ]
    for arrow in placed.arrows:
        way = "M{:.1f} {:.1f}".format(*arrow[0][0])
        for _, *others in arrow:
            way += "C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in others)
        parts.append(f'<path d="{way}" fill="none" stroke="{LINE}" marker-end="url(#tip)"/>')
    for box, (x, y), tall in placed.boxes:
        fill, edge = COLOURS[box.kind]
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH}" height="{tall}" rx="6" '
            f'fill="{fill}" stroke="{edge}"/>'
        )
    for text, x, y, size, anchor in placed.texts:
        parts.append(
            f'<text x="{x:.1f}" y="{y + size * 0.35:.1f}" font-size="{size}" '
            f'fill="{_ink(size)}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def png(drawn: Diagram, scale: int = 2) -> bytes:
    """Return the drawing as a PNG file, `scale` pixels for each of the layout's.

    Raises:
        NodegraphError: the picture would be too large.
    """
    from PIL import Image, ImageDraw, ImageFont

    placed = layout(drawn)
    width, height = (side * scale for side in placed.size)
    if width * height > 2**27:
        raise NodegraphError(f"graph: a picture of {width} x {height} is too large; use SVG")
    picture = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(picture)
    fonts = {size: ImageFont.load_default(size * scale) for size in (10, 11, 13)}
    for arrow in placed.arrows:
        points = [_at(curve, i / 24) for curve in arrow for i in range(25)]
        pen.line([(x * scale, y * scale) for x, y in points], LINE, scale)
        x, y = (value * scale for value in points[-1])
        tip = 5 * scale
        pen.polygon([(x, y), (x - tip, y - tip / 2), (x - tip, y + tip / 2)], LINE)
    for box, (x, y), tall in placed.boxes:
        fill, edge = COLOURS[box.kind]
        corners = (x * scale, y * scale, (x + WIDTH) * scale, (y + tall) * scale)
        pen.rounded_rectangle(corners, 6 * scale, fill, edge, scale)
    for text, x, y, size, anchor in placed.texts:
        at = (x * scale, y * scale)
        pen.text(at, text, _ink(size), fonts[size], anchor=f"{_SIDES[anchor]}m")
    stream = BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


_SIDES: Final = {"start": "l", "middle": "m", "end": "r"}


def _ink(size: int) -> str:
    return NOTE if size == 10 else INK


def _short(text: str, most: int) -> str:
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1] + "…"
