"""Draw a run's loss curve as a picture, with nothing but OpenCV."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from nodegraph_training.kept import replacing

Picture = NDArray[np.uint8]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 400, 70, 40, 30
INK, GRID, RAW, LINE = (60, 60, 60), (228, 228, 228), (225, 200, 170), (180, 90, 20)


def draw_curve(steps: list[float], losses: list[float], title: str) -> Picture:
    """Return the curve (H, W, 3) uint8 BGR: raw values light, their moving average dark."""
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    cv2.putText(canvas, title, (LEFT, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    if not steps:
        return canvas
    values = np.log10(np.maximum(losses, 1e-8))
    low, high = float(values.min()), max(float(values.max()), float(values.min()) + 1e-3)
    x = LEFT + (WIDTH - LEFT - 20) * np.asarray(steps) / max(steps[-1], 1.0)
    _axes(canvas, low, high, steps[-1])
    for line, colour, width in ((values, RAW, 1), (_smooth(values), LINE, 2)):
        points = np.stack([x, _row(line, low, high)], 1)
        cv2.polylines(
            canvas, [np.round(points).astype(np.int32)], False, colour, width, cv2.LINE_AA
        )
    return canvas


def write_curve(path: Path, log: list[dict[str, float]], title: str) -> None:
    """Write the loss curve of a log's lines as a PNG."""
    picture = draw_curve([line["step"] for line in log], [line["loss"] for line in log], title)
    encoded = cv2.imencode(".png", picture)[1]
    with replacing(path) as fresh:
        fresh.write_bytes(encoded.tobytes())


def _row(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - values) / (high - low)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    out, mean, keep = np.empty_like(values), values[0], 0.95
    for index, value in enumerate(values):
        mean = keep * mean + (1 - keep) * value
        out[index] = mean
    return out


def _axes(canvas: Picture, low: float, high: float, last: float) -> None:
    for share in np.linspace(0, 1, 5):
        value = low + share * (high - low)
        y = int(_row(np.asarray([value]), low, high)[0])
        cv2.line(canvas, (LEFT, y), (WIDTH - 20, y), GRID, 1)
        cv2.putText(
            canvas,
            f"{10**value:.3g}",
            (8, y + 4),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            INK,
            1,
            cv2.LINE_AA,
        )
        x = int(LEFT + (WIDTH - LEFT - 20) * share)
        cv2.putText(
            canvas,
            f"{last * share:.0f}",
            (x - 15, HEIGHT - 15),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            INK,
            1,
            cv2.LINE_AA,
        )
