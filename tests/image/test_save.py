"""`image.save` and the codec's `write`: names, content, record, no half-written files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

import nodegraph
from nodegraph import Context, NodeError, NodegraphError
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


SOURCES = {
    "white": {"type": "image.mask_shape", "inputs": {"width": 64, "height": 64, "right": 1.0}},
    "a": {"type": "image.image_from_mask", "inputs": {"mask": {"ref": "white"}}},
    "b": {"type": "image.invert", "inputs": {"image": {"ref": "a"}}},
}


def saving(**nodes: object) -> dict[str, object]:
    """A flow that saves two pictures."""
    return {"nodegraph": 1, "nodes": {**SOURCES, **nodes}, "outputs": {}}


def test_two_pictures_of_one_name_are_refused_and_both_nodes_named(tmp_path: Path) -> None:
    one = {"type": "image.save", "inputs": {"image": {"ref": "a"}}}
    two = {"type": "image.save", "inputs": {"image": {"ref": "b"}}}
    with pytest.raises(NodeError, match=r"image\.png is written by '(one|two)' already"):
        nodegraph.run(saving(one=one, two=two), out=tmp_path)
    assert [path.name for path in tmp_path.glob("*.png")] == ["image.png"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_node_and_an_output_of_one_name_are_refused(tmp_path: Path) -> None:
    one = {"type": "image.save", "inputs": {"image": {"ref": "a"}, "name": "z"}}
    flow = {**saving(one=one), "outputs": {"z": {"ref": "b"}, "y": {"ref": "a"}}}
    with pytest.raises(NodegraphError, match=r"outputs\.z: .* z\.png is written by 'one' already"):
        nodegraph.run(flow, out=tmp_path)
    assert (tmp_path / "y.png").exists()


def test_each_picture_of_a_list_gets_its_number(tmp_path: Path) -> None:
    links = [{"ref": "a"}, {"ref": "b"}, {"ref": "a"}]
    each = {"type": "image.save", "map": ["image"], "inputs": {"image": links}}
    nodegraph.run(saving(each=each), out=tmp_path)
    means = [
        float(load(tmp_path / f"image_{n:04}.png").image.pixels.mean().round()) for n in (1, 2, 3)
    ]
    assert means == [1, 0, 1] or means == [0, 1, 0]


@pytest.mark.parametrize("name", ["x\n", "x" * 201, "../x", ".x"])
def test_names_that_are_none_are_refused_before_the_run(name: str, tmp_path: Path) -> None:
    one = {"type": "image.save", "inputs": {"image": {"ref": "a"}, "name": name}}
    (problem,) = nodegraph.check(saving(one=one))
    assert problem.code == "out_of_range"
