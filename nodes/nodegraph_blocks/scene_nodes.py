"""Nodes that make scenes of the blocks world, one by one or as a training set."""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nodegraph import Context, Destination, node
from nodegraph_blocks import description
from nodegraph_blocks.caption import full_caption
from nodegraph_blocks.dataset import BlocksDataset, render_dataset
from nodegraph_blocks.heldout import FIRST_SEED
from nodegraph_blocks.render import Rendering, depth_hint, render
from nodegraph_blocks.scene import sample_scene
from nodegraph_image import Image

# One colour each: sky, ground, then the things in their order.
_LABELS = np.array(
    [[0, 0, 0], [96, 96, 96], [230, 60, 60], [60, 160, 240], [250, 200, 40]], np.float32
) / np.float32(255)


class RenderedScene(NamedTuple):
    """A scene as a picture, as hints, and in words."""

    image: Image
    depth: Image
    normals: Image
    segmentation: Image
    caption: str


@node(device="cpu")
def scene(
    *,
    seed: Annotated[int, Field(ge=0)] = 0,
    text: str = "",
    size: Annotated[int, Field(ge=16, le=1024)] = 128,
) -> RenderedScene:
    """Render a scene of the blocks world, with exact depth, normals and segmentation.

    Without `text` the seed decides everything. With `text`, such as "a red metal sphere left of a
    blue cube, at sunset", the scene is what the text says and the seed decides the rest. Depth is
    a hint: near is white. Normals are in the camera's axes, x right, y up, z towards the viewer.

    Args:
        seed: which scene; the training scenes begin at 0, the held-out ones at 1,000,000
        text: one to three things with colours, materials, a relation, a time of day, a floor
        size: height and width in pixels

    Raises:
        ValueError: the text names no thing, too many, or a word that is not of this world.
    """
    chosen = description.parse(text, seed) if text.strip() else sample_scene(seed)
    rendering = render(chosen, size)
    return RenderedScene(
        image=Image(rendering.picture[None]),
        depth=_grey(depth_hint(rendering.depth)),
        normals=Image(_coloured_normals(rendering)[None]),
        segmentation=Image(_LABELS[rendering.segmentation][None]),
        caption=full_caption(chosen),
    )


@node(device="cpu", cache=False)
def make_dataset(
    context: Context,
    *,
    folder: Annotated[Path, Destination()],
    count: Annotated[int, Field(ge=1, lt=FIRST_SEED)] = 10_000,
    first_seed: Annotated[int, Field(ge=0)] = 0,
    size: Annotated[int, Field(ge=16, le=1024)] = 128,
    processes: Annotated[int, Field(ge=1, le=256)] = 2,
) -> Path:
    """Render scenes into a folder that the training nodes read; go on where a run stopped.

    Args:
        folder: where pictures, depth, segmentation and scenes are written
        count: how many scenes
        first_seed: the seed of the first; the held-out scenes begin at 1,000,000
        size: height and width in pixels
        processes: how many render side by side

    Raises:
        ValueError: the folder holds another data set, or the seeds reach the held-out scenes.
    """
    if first_seed + count > FIRST_SEED:
        raise ValueError(
            f"make_dataset: seeds up to {first_seed + count - 1} reach the held-out scenes; "
            f"stay below {FIRST_SEED}"
        )
    render_dataset(
        folder,
        count,
        first_seed=first_seed,
        size=size,
        processes=processes,
        progress=lambda done, total: context.progress(done, total, "scenes"),
    )
    BlocksDataset(folder)
    return folder


def _grey(values: NDArray[np.float32]) -> Image:
    return Image(np.repeat(values[None, ..., None], 3, axis=-1))


def _coloured_normals(rendering: Rendering) -> NDArray[np.float32]:
    sky = rendering.segmentation == 0
    normals = np.where(sky[..., None], np.array([0, 0, 1], np.float32), rendering.normals)
    return np.clip((normals + 1) / 2, 0, 1).astype(np.float32)
