"""How the judge learns: from renders, softened in the ways in which generated pictures are soft."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nodegraph_blocks.annotator import CLASSES, SHAPE_CLASSES, Annotator
from nodegraph_blocks.dataset import BlocksDataset
from nodegraph_blocks.scene import COLOURS, SHAPES, Scene
from nodegraph_blocks.solids import FIRST_THING
from nodegraph_training.loop import Progress, Trained, silent, train
from nodegraph_training.settings import Settings
from nodegraph_training.task import Batch

THING_WEIGHT: Final = 3.0  # a pixel of a thing counts as so many of the background
DEPTH_WEIGHT: Final = 4.0

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]
Floats = NDArray[np.float32]


class AnnotatorTask:
    """Learn shape, colour and depth of every second pixel of rendered scenes."""

    def __init__(self, source: BlocksDataset, seed: int) -> None:
        """Begin with random weights."""
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        self.model: nn.Module = Annotator()
        self.source = source
        self.count = len(source)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss over the maps, and the accuracy on the pixels of things."""
        pictures = np.stack([soften(p, batch.numpy) for p in self.source.pictures(batch.indices)])
        shape, colour, depth = targets(self.source, batch.indices)
        x = torch.as_tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        dtype = next(model.parameters()).dtype
        maps = model(x.to(dtype).contiguous(memory_format=torch.channels_last)).float()
        return annotation_loss(maps, *map(torch.as_tensor, (shape, colour, depth)))

    @torch.no_grad()
    def preview(self, model: nn.Module) -> Bytes:
        """Return pictures above the colours that the judge sees in them, and above its depth."""
        pictures = self.source.pictures(np.arange(min(8, self.count)))
        maps = model(torch.as_tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1).float()
        solid = maps[:, :SHAPE_CLASSES].argmax(1).numpy()
        depth = (maps[:, -1].clamp(0, 1) * 255).byte().numpy()
        rows = [
            np.concatenate(list(pictures[:, ::2, ::2]), axis=1),
            _grey(np.concatenate(list((solid * 60).astype(np.uint8)), axis=1)),
            _grey(np.concatenate(list(depth), axis=1)),
        ]
        return np.concatenate(rows, axis=0)


def train_annotator_on(
    source: BlocksDataset, settings: Settings, folder: Path, *, progress: Progress = silent
) -> Trained:
    """Train the judge, or go on with the run that `folder` holds."""
    plan: dict[str, object] = {"stage": "annotator", "pictures": len(source), "classes": CLASSES}
    task = AnnotatorTask(source, settings.seed)
    return train(task, settings, folder, progress=progress, plan=plan)


def annotation_loss(
    maps: Tensor, shape: Tensor, colour: Tensor, depth: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Weigh the maps `(B, CLASSES, h, w)` against labels `(B, h, w)`.

    `shape` is 0 where no thing is, `colour` -1 there (it is not asked for), `depth` in [0, 1].
    """
    shapes, colours = maps[:, :SHAPE_CLASSES], maps[:, SHAPE_CLASSES:-1]
    thing = shape > 0
    weight = 1 + (THING_WEIGHT - 1) * thing.float()
    shape_loss = (F.cross_entropy(shapes, shape, reduction="none") * weight).mean() / weight.mean()
    colour_loss = F.cross_entropy(colours, colour, ignore_index=-1)
    depth_loss = (maps[:, -1] - depth).abs().mean()
    with torch.no_grad():
        right_shape = (shapes.argmax(1) == shape)[thing].float().mean()
        right_colour = (colours.argmax(1) == colour)[thing].float().mean()
    numbers = {
        "shape": float(right_shape),
        "colour": float(right_colour),
        "depth": float(depth_loss.detach()),
    }
    return shape_loss + 0.5 * colour_loss + DEPTH_WEIGHT * depth_loss, numbers


def targets(source: BlocksDataset, indices: NDArray[np.int64]) -> tuple[Labels, Labels, Floats]:
    """Give shape, colour and depth `(n, H/2, W/2)` of every second pixel."""
    labels = source.segmentation(indices)[:, 1::2, 1::2]
    shape = np.zeros(labels.shape, np.int64)
    colour = np.full(labels.shape, -1, np.int64)
    for row, index in enumerate(indices):
        scene: Scene = source.scene(int(index))
        for number, thing in enumerate(scene.things, FIRST_THING):
            here = labels[row] == number
            shape[row][here] = 1 + SHAPES.index(thing.shape)
            colour[row][here] = COLOURS.index(thing.colour)
    depth = source.depth(indices)[:, 1::2, 1::2].astype(np.float32) / np.float32(255)
    return shape, colour, depth


def soften(picture: Bytes, rng: np.random.Generator) -> Bytes:
    """Blur, shrink, dim or roughen a picture `(H, W, 3)` a little, or leave it as it is."""
    result = picture
    way = rng.random()
    if way < 0.35:
        result = cv2.GaussianBlur(result, (0, 0), float(rng.uniform(0.4, 1.6)))
    elif way < 0.6:
        result = _shrunk(result, float(rng.uniform(1.5, 3)))
    values = result.astype(np.float64)
    if rng.random() < 0.4:
        values = values * rng.uniform(0.88, 1.12, 3) + rng.uniform(-10, 10)
    if rng.random() < 0.5:
        height, width = picture.shape[:2]
        patches = rng.normal(0, rng.uniform(1, 9), (height // 4, width // 4, 3))
        values = values + cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        values = values + rng.normal(0, rng.uniform(1, 7), picture.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _shrunk(picture: Bytes, factor: float) -> Bytes:
    height, width = picture.shape[:2]
    small = cv2.resize(
        picture, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _grey(values: Bytes) -> Bytes:
    return np.repeat(values[..., None], 3, axis=-1)
