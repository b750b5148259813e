"""Rendered training sets: complete, resumable, mirrored, read by index."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from nodegraph import Context
from nodegraph_blocks import make_dataset
from nodegraph_blocks.dataset import BlocksDataset, render_dataset, to_bytes
from nodegraph_blocks.render import depth_hint, render
from nodegraph_blocks.scene import mirror, sample_scene
from nodegraph_training.errors import TrainingError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_dataset(tmp_path_factory.mktemp("set"), 105, first_seed=40, size=16)


def test_a_set_holds_the_renders_of_its_seeds(folder: Path) -> None:
    data = BlocksDataset(folder)
    rendering = render(sample_scene(43), 16)
    assert len(data) == 105
    assert (data.pictures([3])[0] == to_bytes(rendering.picture)).all()
    assert (data.depth([3])[0] == to_bytes(depth_hint(rendering.depth))).all()
    assert (data.segmentation([3])[0] == rendering.segmentation).all()
    assert data.scene(3) == sample_scene(43)


def test_indices_beyond_the_scenes_are_mirror_images(folder: Path) -> None:
    data = BlocksDataset(folder, mirrored=True)
    assert len(data) == 210
    for name in ("pictures", "depth", "segmentation"):
        there, back = getattr(data, name)([2, 107])
        assert (there[:, ::-1] == back).all()
    assert data.scene(107) == mirror(data.scene(2))


def test_hints_are_canny_edges_and_depth_in_three_channels(folder: Path) -> None:
    data = BlocksDataset(folder)
    edges = cv2.Canny(data.pictures([5])[0], 100, 200)
    assert (data.hint("canny", [5])[0] == edges[..., None]).all()
    assert (data.hint("depth", [5])[0] == data.depth([5])[0][..., None]).all()
    with pytest.raises(ValueError, match="unknown kind 'pose'"):
        data.hint("pose", [5])


def test_captions_come_from_the_scene(folder: Path) -> None:
    data = BlocksDataset(folder)
    assert data.scene(0).things[0].shape in " ".join(
        data.caption(0, random.Random(seed)) for seed in range(40)
    )


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = render_dataset(tmp_path / "whole", 205, size=16)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        render_dataset(part, 205, size=16, progress=stop)
    with pytest.raises(ValueError, match="not finished; run it again"):
        BlocksDataset(part)
    seen: list[int] = []
    render_dataset(part, 205, size=16, progress=lambda done, total: seen.append(done))
    assert seen == [200, 205]
    assert (np.load(part / "pictures.npy") == np.load(whole / "pictures.npy")).all()


def test_several_processes_give_the_same_pictures(folder: Path, tmp_path: Path) -> None:
    twin = render_dataset(tmp_path, 105, first_seed=40, size=16, processes=2)
    assert (np.load(twin / "pictures.npy") == np.load(folder / "pictures.npy")).all()


def test_a_folder_of_another_set_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds another data set"):
        render_dataset(folder, 105, first_seed=41, size=16)


def test_a_folder_without_a_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="render a data set there first"):
        BlocksDataset(tmp_path)


def test_training_seeds_may_not_reach_the_held_out_scenes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reach the held-out scenes"):
        make_dataset(Context(), folder=tmp_path, count=10, first_seed=999_995)


FILES = ("dataset.json", "scenes.jsonl", "done.txt", "depth.npy")


@pytest.mark.parametrize("name", FILES)
def test_a_link_that_leads_out_of_the_folder_is_neither_read_nor_written(
    tmp_path: Path, name: str
) -> None:
    folder = render_dataset(tmp_path / "set", 2, size=16)
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    for act in (lambda: BlocksDataset(folder), lambda: render_dataset(folder, 2, size=16)):
        with pytest.raises(TrainingError, match=f"{name}' is a link that leads out"):
            act()
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("data", [b"", b"[3]\n", b"\xff\0nonsense", b"[" * 100_000])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    folder = render_dataset(tmp_path, 2, size=16)
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}: |rendering is not finished"):
        BlocksDataset(folder)


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = render_dataset(tmp_path, 2, size=16)
    np.save(folder / "depth.npy", np.zeros((2, 16, 8), np.uint8))
    with pytest.raises(
        ValueError, match=r"depth.npy: holds \[2, 16, 8\] uint8 and not \[2, 16, 16"
    ):
        BlocksDataset(folder)


def test_an_array_that_is_gone_is_rendered_again(tmp_path: Path) -> None:
    folder = render_dataset(tmp_path, 2, size=16)
    before = np.load(folder / "depth.npy")
    (folder / "depth.npy").unlink()
    render_dataset(folder, 2, size=16)
    assert (np.load(folder / "depth.npy") == before).all()
