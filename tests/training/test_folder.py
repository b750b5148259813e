"""Folders of pictures: what they may hold, and what is said about a bad one."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from nodegraph_training.errors import TrainingError
from nodegraph_training.folder import FolderSource


def write(folder: Path, lines: list[object]) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "a_hint.png"):
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (48, 80, 3)).astype(np.uint8))
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "data.jsonl").write_text(text)
    return folder


def test_pictures_are_cut_to_size_and_captions_drawn(tmp_path: Path) -> None:
    lines: list[object] = [{"image": "a.png", "hint": "a_hint.png", "text": ["one", "two"]}]
    source = FolderSource(write(tmp_path, lines), 32)
    rng = np.random.default_rng(0)
    assert source.pictures(np.arange(1)).shape == (1, 32, 32, 3)
    assert source.hint("depth", np.arange(1)).shape == (1, 32, 32, 3)
    assert {source.caption(0, rng) for _ in range(20)} == {"one", "two"}


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    write(tmp_path, [{"image": "a.png", "text": "red"}])
    cv2.imwrite(str(tmp_path / "a.png"), np.full((32, 32, 3), (0, 0, 255), np.uint8))
    assert tuple(FolderSource(tmp_path, 32).pictures(np.arange(1))[0, 0, 0]) == (255, 0, 0)


def test_canny_needs_no_files(tmp_path: Path) -> None:
    source = FolderSource(write(tmp_path, [{"image": "a.png", "text": "x"}]), 32)
    edges = source.hint("canny", np.arange(1))
    assert set(np.unique(edges)) == {0, 255}


def test_hints_are_chosen_by_kind(tmp_path: Path) -> None:
    line = {"image": "a.png", "hint": {"depth": "a_hint.png"}, "text": "x"}
    source = FolderSource(write(tmp_path, [line]), 32)
    assert source.hint("depth", np.arange(1)).any()
    with pytest.raises(TrainingError, match=r"line 1: there is no hint of kind 'normals'"):
        source.hint("normals", np.arange(1))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"lists no pictures; write one line for each"),
        (["{"], r"line 1: is not JSON"),
        (["[" * 100_000], r"line 1: is not JSON"),
        ([{"image": "a" * 300 + ".png"}], r"line 1: .*File name too long"),
        ([{"image": "a\0.png"}], r"line 1: "),
        (["[1]"], r"line 1: names no picture"),
        (
            [{"image": "a.png", "text": "x"}, {"image": "c.png"}],
            r"line 2: there is no file '.*c.png'",
        ),
        ([{"image": "a.png", "hint": "d.png"}], r"line 1: there is no file '.*d.png'"),
        ([{"image": "../a.png"}], r"line 1: .*a.png' is not below the folder"),
        ([{"image": "a.png", "hint": "/etc/hostname"}], r"line 1: '/etc/hostname' is not below"),
        ([{"image": "a.png", "hint": 3}], r'line 1: "hint" is neither a path nor'),
        ([{"image": "a.png", "text": 3}], r'line 1: "text" is neither a text nor a list'),
        ([{"image": "a.png", "text": []}], r'line 1: "text" is neither a text nor a list'),
    ],
)
def test_bad_lists_are_refused_with_their_line(
    tmp_path: Path, lines: list[object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        FolderSource(write(tmp_path, lines), 32)


@pytest.mark.parametrize("name", ["a.png", "a_hint.png", "data.jsonl"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder, [{"image": "a.png", "hint": "a_hint.png", "text": "x"}])
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(TrainingError, match=f"{name}' is a link that leads out of its folder, to"):
        FolderSource(folder, 32)


def test_a_pipe_in_the_place_of_a_picture_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [{"image": "c.png", "text": "x"}])
    os.mkfifo(tmp_path / "c.png")
    with pytest.raises(TrainingError, match=r"line 1: '.*c.png' is a folder, pipe or device"):
        FolderSource(tmp_path, 32)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [((1, 30_000), 128, "30000 x 1 is too narrow to be scaled to 128"), ((48, 80), 32, "")],
)
def test_a_picture_that_would_grow_beyond_memory_is_refused(
    tmp_path: Path, shape: tuple[int, int], size: int, message: str
) -> None:
    write(tmp_path, [{"image": "a.png", "text": "x"}])
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros(shape, np.uint8))
    source = FolderSource(tmp_path, size)
    if message:
        with pytest.raises(TrainingError, match=message):
            source.pictures(np.arange(1))
    else:
        assert source.pictures(np.arange(1)).shape == (1, size, size, 3)


def test_a_picture_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [{"image": "a.png", "text": "x"}])
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "a.png").write_bytes(jpeg[: len(jpeg) // 2])
    with pytest.raises(TrainingError, match=r"a.png: the picture is damaged or incomplete"):
        FolderSource(tmp_path, 32).pictures(np.arange(1))


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    write(tmp_path, [{"image": "a.png", "text": "x"}])
    cv2.imwrite(str(tmp_path / "a.png"), np.full((32, 32), 128 * 257 + 100, np.uint16))
    assert set(np.unique(FolderSource(tmp_path, 32).pictures(np.arange(1)))) == {128}


def test_a_folder_without_a_list_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"there is no data.jsonl; write one line for each"):
        FolderSource(tmp_path, 32)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    source = FolderSource(write(tmp_path, [{"image": "a.png", "text": "x"}]), 32)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"a.png: this is not a PNG, .*take its line out"):
        source.pictures(np.arange(1))
