"""Annotators that see surfaces: normals from depth, and segments."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nodegraph import node
from nodegraph_image.detecting import annotated
from nodegraph_image.picture import Bytes, Image


@node(device="cpu")
def normal_from_depth(
    depth: Image,
    *,
    scale: Annotated[float, Field(gt=0, le=1000)] = 20.0,
    background: Annotated[float, Field(ge=0, le=1)] = 0.4,
    order: Literal["rgb", "bgr"] = "rgb",
) -> Image:
    """Turn a depth map (near is white) into surface normals.

    The slopes of depth by Sobel's 3 x 3 kernels are x and y, z is 2 pi; the three are brought to
    length 1 and from -1..1 to 0..1. Slopes of what is farther than `background` count as none.

    Source: ControlNet 1.0's normal annotator, whose depth spans some tens; here it spans `scale`.

    Args:
        depth: depth maps; the mean of their channels counts
        scale: what the range of depth spans; more makes slopes steeper
        background: the share of that range, from the farthest on, that is flat
        order: "rgb" has x in red and z in blue; ControlNet 1.0's normal model was trained on "bgr"
    """
    turn = slice(None, None, 1 if order == "rgb" else -1)
    return annotated(depth, lambda x: _normals(x, scale, background)[..., turn])


@node(device="cpu")
def segment(
    image: Image,
    *,
    colors: Annotated[int, Field(ge=2, le=64)] = 8,
    smoothing: Annotated[int, Field(ge=1, le=50)] = 12,
    least: Annotated[float, Field(ge=0, le=0.5)] = 0.002,
) -> Image:
    """Part pictures into segments of like colour, each painted in a colour of its own.

    No network takes part: the picture is smoothed by mean shift, its colours are gathered into
    `colors` clusters (k-means in Lab, always from the same start), and connected pixels of a
    cluster are a segment. Segments know no classes: the palette only tells neighbours apart, so a
    ControlNet that was trained on a data set's class colours will not read it.

    Args:
        image: the pictures
        colors: how many kinds of colour are told apart
        smoothing: how far like colours flow together
        least: segments below this share of the picture join what is around them
    """
    return annotated(image, lambda x: _segmented(x, colors, smoothing, least))


def palette(count: int) -> Bytes:
    """Return `count` colours (count, 3) that differ well, always the same."""
    golden = 0.618033988749895
    hues = (0.11 + golden * np.arange(count)) % 1.0
    tones = np.stack([np.clip(np.abs((hues * 6 + s) % 6 - 3) - 1, 0, 1) for s in (0, 4, 2)], axis=1)
    light = 0.55 + 0.45 * ((np.arange(count) * 0.37) % 1.0)
    return np.rint(255 * (0.15 + 0.85 * tones) * light[:, None]).astype(np.uint8)


def _normals(x: Bytes, scale: float, background: float) -> Bytes:
    import cv2  # here, so that flows without it start sooner

    depth = x.mean(axis=2, dtype=np.float32)
    span = float(depth.max() - depth.min())
    depth = (depth - depth.min()) / np.float32(span or 1.0)
    across = np.asarray(cv2.Sobel(depth * scale, cv2.CV_32F, 1, 0, ksize=3), np.float32)
    down = np.asarray(cv2.Sobel(depth * scale, cv2.CV_32F, 0, 1, ksize=3), np.float32)
    flat = [np.where(depth < background, 0, slope) for slope in (across, down)]
    normal = np.stack([*flat, np.full_like(depth, 2 * np.pi)], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    return np.rint((normal + 1) * 127.5).astype(np.uint8)


def _segmented(x: Bytes, colors: int, smoothing: int, least: float) -> Bytes:
    import cv2

    smooth = cv2.pyrMeanShiftFiltering(x, smoothing, smoothing * 2)
    lab = cv2.cvtColor(np.asarray(smooth, np.uint8), cv2.COLOR_RGB2LAB)
    kinds = _clusters(lab.reshape(-1, 3).astype(np.float32), colors).reshape(lab.shape[:2])
    labels = _connected(kinds)
    labels = _without_small(labels, max(1, round(least * labels.size)))
    return palette(int(labels.max()) + 1)[labels]


def _clusters(points: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each point (N, 3), from starts spread over the sorted brightness."""
    order = np.argsort(points[:, 0], kind="stable")
    places = np.linspace(0, len(points) - 1, count).astype(int)
    centres = points[order[places]]
    kinds = np.zeros(len(points), np.int64)
    for _ in range(10):
        nearest = np.full(len(points), np.inf, np.float32)
        for kind, centre in enumerate(centres):
            distance = ((points - centre) ** 2).sum(axis=1)
            closer = distance < nearest
            nearest[closer], kinds[closer] = distance[closer], kind
        for kind in np.unique(kinds):
            centres[kind] = points[kinds == kind].mean(axis=0)
    return kinds


def _connected(kinds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the connected parts of every kind, from 0."""
    import cv2

    labels = np.zeros(kinds.shape, np.int64)
    found = 0
    for kind in np.unique(kinds):
        inside = (kinds == kind).astype(np.uint8)
        parts = np.asarray(cv2.connectedComponents(inside, connectivity=4)[1], np.int64)
        labels = np.where(inside, parts + found - 1, labels)
        found += int(parts.max())
    return labels


def _without_small(labels: npt.NDArray[np.int64], least: int) -> npt.NDArray[np.int64]:
    """Give small parts to the largest neighbour's label by growing the large ones over them."""
    import cv2

    sizes = np.bincount(labels.ravel())
    large = np.flatnonzero(sizes >= least)
    if not len(large):
        return np.zeros_like(labels)
    number = np.zeros(len(sizes), np.int32)
    number[large] = np.arange(1, len(large) + 1)
    marks = number[labels]
    while not marks.all():
        grown = cv2.dilate(marks.astype(np.float32), np.ones((3, 3), np.uint8))
        marks = np.where(marks == 0, np.asarray(grown).astype(np.int32), marks)
    return marks.astype(np.int64) - 1
