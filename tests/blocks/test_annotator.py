"""The judge: reading of maps, training targets, and what the shipped weights know."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from nodegraph_blocks.annotator import (
    CLASSES,
    SHAPE_CLASSES,
    Annotator,
    _read,
    load_annotator,
    read_pictures,
    save_annotator,
)
from nodegraph_blocks.annotator_training import (
    annotation_loss,
    soften,
    targets,
    train_annotator_on,
)
from nodegraph_blocks.dataset import BlocksDataset, render_dataset
from nodegraph_blocks.scene import COLOURS, SHAPES
from nodegraph_training.settings import Settings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> BlocksDataset:
    return BlocksDataset(render_dataset(tmp_path_factory.mktemp("set"), 8, size=64))


def blank() -> np.ndarray:
    maps = np.zeros((CLASSES, 64, 64), np.float32)
    maps[0] = 5
    return maps


def put(maps: np.ndarray, shape: str, colour: str, rows: slice, columns: slice) -> None:
    maps[1 + SHAPES.index(shape), rows, columns] = 9
    maps[SHAPE_CLASSES + COLOURS.index(colour), rows, columns] = 9


def test_an_empty_map_shows_nothing() -> None:
    assert _read(blank()).things == ()


def test_two_things_are_read_largest_first_with_their_places() -> None:
    maps = blank()
    put(maps, "cone", "blue", slice(10, 20), slice(0, 10))
    put(maps, "cube", "red", slice(20, 40), slice(40, 60))
    first, second = _read(maps).things
    assert (first.shape, first.colour) == ("cube", "red")
    assert (first.x, first.y) == pytest.approx((50 / 64, 30 / 64))
    assert (second.shape, second.colour, second.area) == ("cone", "blue", 100 / 4096)


def test_stains_are_no_things() -> None:
    maps = blank()
    put(maps, "cube", "red", slice(20, 40), slice(40, 60))
    put(maps, "cone", "blue", slice(0, 4), slice(0, 4))
    assert [thing.colour for thing in _read(maps).things] == ["red"]


def test_the_most_pixels_decide_on_a_shape() -> None:
    maps = blank()
    put(maps, "cube", "red", slice(20, 40), slice(40, 60))
    maps[1 + SHAPES.index("cone"), 20:24, 40:60] = 20
    assert [thing.shape for thing in _read(maps).things] == ["cube"]


def test_targets_name_the_scene_s_shapes_and_colours(data: BlocksDataset) -> None:
    shape, colour, depth = targets(data, np.array([3]))
    things = data.scene(3).things
    assert set(np.unique(shape)) == {0, *(1 + SHAPES.index(thing.shape) for thing in things)}
    assert set(np.unique(colour)) == {-1, *(COLOURS.index(thing.colour) for thing in things)}
    assert ((shape > 0) == (colour >= 0)).all()
    assert depth.shape == (1, 32, 32)
    assert 0 <= depth.min() <= depth.max() <= 1


def test_the_loss_of_certain_and_right_maps_is_nearly_zero(data: BlocksDataset) -> None:
    shape, colour, depth = (torch.as_tensor(part) for part in targets(data, np.array([0, 1])))
    maps = torch.zeros(2, CLASSES, 32, 32)
    maps[:, :SHAPE_CLASSES].scatter_(1, shape[:, None], 30.0)
    maps[:, SHAPE_CLASSES:-1].scatter_(1, colour.clamp(min=0)[:, None], 30.0)
    maps[:, -1] = depth
    loss, numbers = annotation_loss(maps, shape, colour, depth)
    assert float(loss) < 1e-6
    assert (numbers["shape"], numbers["colour"], numbers["depth"]) == (1, 1, 0)


def test_softening_changes_pictures_a_little(data: BlocksDataset) -> None:
    picture = data.pictures([0])[0]
    soft = [soften(picture, np.random.default_rng(seed)) for seed in range(20)]
    errors = [np.abs(s.astype(int) - picture).mean() for s in soft]
    assert max(errors) < 30
    assert sum(error > 0.5 for error in errors) > 10


def test_a_few_steps_of_training_lower_the_loss(data: BlocksDataset, tmp_path: Path) -> None:
    losses: list[float] = []

    def watch(done: int, total: int, message: str) -> None:
        losses.append(float(message.split()[1].rstrip(",")))

    settings = Settings(steps=12, batch=8, rate=2e-3, warmup=2, precision="float32")
    train_annotator_on(data, settings, tmp_path, progress=watch)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\xff" * 100])
def test_files_that_hold_no_judge_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "judge.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="not the judge's weights"):
        load_annotator(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "judge.safetensors")
    with pytest.raises(ValueError, match="not the judge's weights"):
        load_annotator(tmp_path / "judge.safetensors")


def test_pictures_of_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="100 x 128 pixels; give sides"):
        read_pictures(Annotator(), np.zeros((1, 128, 100, 3), np.uint8))


def test_saved_weights_read_alike(data: BlocksDataset, tmp_path: Path) -> None:
    annotator = Annotator().half().float().eval()
    save_annotator(annotator, tmp_path / "judge.safetensors")
    again = load_annotator(tmp_path / "judge.safetensors")
    pictures = data.pictures([0, 1])
    for first, second in zip(
        read_pictures(annotator, pictures), read_pictures(again, pictures), strict=True
    ):
        assert first.things == second.things
        assert (first.depth == second.depth).all()
