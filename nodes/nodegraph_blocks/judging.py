"""Score pictures against the scenes whose hints and prompts they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nodegraph import Context
from nodegraph_blocks import metrics
from nodegraph_blocks.annotator import Annotator, read_pictures
from nodegraph_blocks.dataset import CANNY_HIGH, CANNY_LOW, to_bytes
from nodegraph_blocks.render import Rendering, depth_hint, render
from nodegraph_blocks.scene import Scene
from nodegraph_blocks.solids import FIRST_THING

Bytes = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Floats = NDArray[np.float32]

SIZE = 128


@dataclass(frozen=True)
class Targets:
    """Scenes with all that can be compared: pictures `(N, H, W, 3) uint8`, edges, depth hints."""

    scenes: tuple[Scene, ...]
    pictures: Bytes
    edges: Masks
    depth: Floats
    things: Masks


def make_targets(scenes: Sequence[Scene], context: Context) -> Targets:
    """Render scenes and draw their hints; stops where the run is cancelled."""
    renderings: list[Rendering] = []
    for done, scene in enumerate(scenes):
        context.progress(done, len(scenes), "rendering")
        renderings.append(render(scene, SIZE))
    pictures = np.stack([to_bytes(rendering.picture) for rendering in renderings])
    return Targets(
        scenes=tuple(scenes),
        pictures=pictures,
        edges=edges_of(pictures),
        depth=np.stack([depth_hint(rendering.depth) for rendering in renderings]),
        things=np.stack([rendering.segmentation >= FIRST_THING for rendering in renderings]),
    )


def edges_of(pictures: Bytes) -> Masks:
    """Find Canny edges `(N, H, W)` as the hints do."""
    edges = [
        np.asarray(cv2.Canny(picture, CANNY_LOW, CANNY_HIGH), np.uint8) for picture in pictures
    ]
    return np.stack(edges) > 0


def score(
    annotator: Annotator, pictures: Bytes, targets: Targets, asked: Sequence[Scene]
) -> dict[str, float]:
    """Score pictures against hints (`targets`) and against what the prompts `asked` for.

    `edge_f1` at 2 px; `depth_error` of the hint in [0, 1], everywhere and on things; the share of
    pictures whose own hint is the nearest of 100, by edges and by depth; the named colours, shapes,
    pairs of both and counts that were found; and the shapes of the hint's scene that were found.
    """
    readings = read_pictures(annotator, pictures)
    depth = np.stack([reading.depth for reading in readings])
    nearness = metrics.edge_f1(edges_of(pictures), targets.edges)
    found = [reading.things for reading in readings]
    prompt = metrics.prompt_scores([scene.things for scene in asked], found)
    shown = metrics.prompt_scores([scene.things for scene in targets.scenes], found)
    return {
        "edge_f1": float(nearness.diagonal().mean()),
        "edge_retrieval": metrics.retrieval(nearness),
        "depth_error": float(metrics.depth_error(depth, targets.depth).mean()),
        "depth_error_on_things": float(
            metrics.depth_error(depth, targets.depth, targets.things).mean()
        ),
        "depth_retrieval": metrics.retrieval(metrics.depth_nearness(depth, targets.depth)),
        **prompt,
        "hint_shape": shown["shape"],
    }
