"""`image.save` and the codec's `write`: names, content, record, no half-written files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

from nodegraph import Context
from nodegraph_image import Image, Mask, load, save
from nodegraph_image.picture import ImageCodec, MaskCodec, quantise

PIXELS = np.random.default_rng(0).random((2, 4, 5, 3), np.float32)


def test_one_picture_is_named_as_told(tmp_path: Path) -> None:
    save(Image(PIXELS[:1]), name="cat", context=Context(out=tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["cat.png"]


def test_a_saved_picture_carries_the_runs_record(tmp_path: Path) -> None:
    save(Image(PIXELS[:1]), name="cat", context=Context(out=tmp_path, record={"seed": 7}))
    with pillow.open(tmp_path / "cat.png") as picture:
        assert json.loads(picture.info["nodegraph"]) == {"seed": 7}


def test_a_batch_is_numbered_from_one(tmp_path: Path) -> None:
    paths = ImageCodec.write(Image(PIXELS), tmp_path / "image", None)
    assert [p.name for p in paths] == ["image_0001.png", "image_0002.png"]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_dot_in_the_name_is_kept(tmp_path: Path) -> None:
    assert ImageCodec.write(Image(PIXELS[:1]), tmp_path / "v1.5", None) == [tmp_path / "v1.5.png"]


def test_what_was_written_is_read_back_as_the_same_bytes(tmp_path: Path) -> None:
    image = Image(PIXELS[:1])
    (path,) = ImageCodec.write(image, tmp_path / "x", None)
    np.testing.assert_array_equal(quantise(load(path).image.pixels), quantise(image.pixels))


def test_the_record_is_one_text_chunk(tmp_path: Path) -> None:
    record = {"flow": {"title": "Äpfel 🍎"}, "seed": 7}
    (path,) = ImageCodec.write(Image(PIXELS[:1]), tmp_path / "x", record)
    with pillow.open(path) as picture:
        assert json.loads(picture.info["nodegraph"]) == record
        assert set(picture.info) == {"nodegraph"}


def test_the_same_picture_gives_the_same_file(tmp_path: Path) -> None:
    first = ImageCodec.write(Image(PIXELS[:1]), tmp_path / "a", {"seed": 1})
    second = ImageCodec.write(Image(PIXELS[:1]), tmp_path / "b", {"seed": 1})
    assert first[0].read_bytes() == second[0].read_bytes()


def test_a_mask_is_written_in_grey(tmp_path: Path) -> None:
    (path,) = MaskCodec.write(Mask(PIXELS[:1, ..., 0]), tmp_path / "m", None)
    with pillow.open(path) as picture:
        assert picture.mode == "L"
        assert picture.size == (5, 4)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    (path,) = ImageCodec.write(Image(PIXELS[:1]), tmp_path / "x", None)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        ImageCodec.write(Image(PIXELS[1:]), tmp_path / "x", {"strength": float("nan")})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
