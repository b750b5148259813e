"""A picture carries how it was made: it is run again, and verified."""

import json
import random
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nodegraph
from nodegraph.again import differences
from nodegraph.cli import main
from nodegraph.errors import WorkflowError
from nodegraph.picture import is_picture, read_record

SHAPE = {"type": "image.mask_shape", "inputs": {"width": 8, "height": 8, "right": 0.5}}
NODES: dict[str, Any] = {
    "half": SHAPE,
    "a": {"type": "image.image_from_mask", "inputs": {"mask": {"ref": "half"}}},
    "p": {"type": "image.invert", "inputs": {"image": {"ref": "inputs.photo"}}},
    "l": {"type": "image.load", "inputs": {"path": "photo.png"}},
    "both": {"type": "image.batch", "inputs": {"images": [{"ref": "p"}, {"ref": "l.image"}]}},
    "one": {"type": "image.pick", "inputs": {"image": {"ref": "both"}}},
}
FLOW: dict[str, Any] = {
    "nodegraph": 1,
    "inputs": {"photo": {"type": "image", "default": "photo.png"}},
    "nodes": NODES,
    "outputs": {"one": {"ref": "one"}},
}


def photograph(folder: Path) -> None:
    """Write photo.png."""
    nodes = {name: NODES[name] for name in ("half", "a")}
    nodegraph.run({"nodegraph": 1, "nodes": nodes, "outputs": {"photo": {"ref": "a"}}}, out=folder)


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture that a flow made, in a folder of its own, from a picture elsewhere."""
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    photograph(source)
    (source / "flow.json").write_text(json.dumps(FLOW))
    time.sleep(0.15)  # what was just written is not remembered
    out = tmp_path / "out"
    nodegraph.run(source / "flow.json", out=out)
    work = tmp_path / "elsewhere"
    work.mkdir()
    monkeypatch.chdir(work)
    return out / "one.png"


def test_a_picture_runs_again_to_the_same_bytes(picture: Path) -> None:
    assert main(["run", str(picture), "--out", "again", "--quiet"]) == 0
    assert Path("again/one.png").read_bytes() == picture.read_bytes()
    record = read_record(picture)
    assert str(picture.parent.parent) not in json.dumps(record)
    assert set(record["files"]) == {"inputs.photo", "l.path"}


def test_a_picture_is_verified(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(picture), "--quiet"]) == 0
    assert "the same as the output 'one', bit by bit" in capsys.readouterr().out


def test_a_picture_that_was_changed_differs_by_so_much(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    with Image.open(picture) as old:
        old.load()
        chunks = PngInfo()
        chunks.add_text("nodegraph", old.info["nodegraph"])
        new = old.copy()
    new.putpixel((1, 1), (200, 200, 200))
    new.save(picture, pnginfo=chunks)
    assert main(["verify", str(picture), "--quiet"]) == 1
    assert "in 1.56% of the pixels, by at most " in capsys.readouterr().out


def test_a_file_that_changed_is_named(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = picture.parent.parent / "source" / "photo.png"
    source.write_bytes(source.read_bytes() + b"\0")
    assert main(["verify", str(picture), "--quiet"]) == 2
    assert "no file 'photo.png'" in capsys.readouterr().err
    Path("photo.png").write_bytes(source.read_bytes())
    assert main(["verify", str(picture), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "changed since: inputs.photo: was " in said
    assert "changed since: l.path: was " in said


def test_other_versions_are_named(picture: Path) -> None:
    record = read_record(picture)
    now = {**record, "packages": {"nodegraph": "9"}, "environment": {**record["environment"]}}
    now["environment"]["numpy"] = "0"
    lines = differences(record, now)
    assert [line.partition(":")[0] for line in lines] == ["nodegraph", "numpy"]


def test_flows_within_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photograph(tmp_path)
    inner = {**FLOW, "outputs": {"one": {"ref": "one"}}}
    Path("inner.json").write_text(json.dumps(inner))
    middle: dict[str, Any] = {"nodegraph": 1, "nodes": {"x": {"flow": "inner.json"}}}
    Path("middle.json").write_text(json.dumps({**middle, "outputs": {"m": {"ref": "x.one"}}}))
    outer: dict[str, Any] = {"nodegraph": 1, "nodes": {"in": {"flow": "middle.json"}}}
    nodegraph.run({**outer, "outputs": {"o": {"ref": "in.m"}}}, out="out")
    for name in ("inner.json", "middle.json"):
        Path(name).unlink()
    assert main(["verify", "out/o.png", "--quiet"]) == 0
    assert main(["run", "out/o.png", "--quiet", "--out", "again"]) == 0
    assert read_record(Path("again/o.png")) == read_record(Path("out/o.png"))


def test_rows_of_a_picture_with_flows_within_are_not_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = {"width": {"type": "integer", "default": 8}}
    shape = {"type": "image.mask_shape", "inputs": {"width": {"ref": "inputs.width"}, "height": 8}}
    inner = {
        "nodegraph": 1,
        "inputs": inputs,
        "nodes": {"half": shape, "a": NODES["a"]},
        "outputs": {"a": {"ref": "a"}},
    }
    Path("inner.json").write_text(json.dumps(inner))
    taken = {"inputs": {"width": {"ref": "inputs.width"}}}
    nodes: dict[str, Any] = {"in": {"flow": "inner.json", **taken}}
    middle = {"nodegraph": 1, "inputs": inputs, "nodes": nodes, "outputs": {"a": {"ref": "in.a"}}}
    Path("middle.json").write_text(json.dumps(middle))
    nodes = {"in": {"flow": "middle.json", **taken}}
    nodegraph.run({**middle, "nodes": nodes}, out="out")
    for name in ("inner.json", "middle.json"):
        Path(name).unlink()
    words = ["run", "out/a.png", "--width", "8,9", "--quiet", "--out", "swept"]
    assert main(words) == 0
    before = {path: path.stat().st_mtime_ns for path in Path("swept").glob("*/*.png")}
    assert len(before) == 2
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert str(tmp_path) not in json.dumps(read_record(min(before)))


def test_a_strangers_nodes_are_asked_for(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    flow = {"nodegraph": 1, "nodes": {"n": {"type": "toys.number"}}, "outputs": {"n": {"ref": "n"}}}
    chunks.add_text("nodegraph", json.dumps({"flow": flow, "inputs": {}}))
    Image.new("RGB", (4, 4)).save("toy.png", pnginfo=chunks)
    assert main(["run", "toy.png", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "n: toys.number" in said
    assert "runs nodes of toys, installed by others; look at it, then run it with --trust" in said
    assert main(["run", "toy.png", "--quiet", "--trust", "--out", "o"]) == 0
    assert Path("o/n.json").read_text() == "7\n"


def test_a_strangers_nodes_are_asked_for_in_flows_within_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = {
        "nodegraph": 1,
        "nodes": {"n": {"type": "toys.number"}},
        "outputs": {"n": {"ref": "n"}},
    }
    Path("inner.json").write_text(json.dumps(inner))
    nodes = {"in": {"flow": "inner.json"}, "half": SHAPE, "a": NODES["a"]}
    outputs = {"n": {"ref": "in.n"}, "o": {"ref": "a"}}
    nodegraph.run({"nodegraph": 1, "nodes": nodes, "outputs": outputs}, out="out")
    for where in (".", "elsewhere"):  # the flow within is found here, or in the picture
        Path(where).mkdir(exist_ok=True)
        monkeypatch.chdir(where)
        assert main(["run", str(tmp_path / "out" / "o.png"), "--quiet", "--out", "p"]) == 2
        said = capsys.readouterr().err
        assert "  in: a flow within" in said
        assert "  in/n: toys.number" in said
        assert "runs nodes of toys, installed by others; look at it" in said
    assert main(["run", str(tmp_path / "out" / "o.png"), "--quiet", "--out", "p", "--trust"]) == 0


# Hostile pictures


def test_a_picture_does_not_write_over_a_file_that_it_knows_the_digest_of(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from nodegraph.digests import Digests

    mine = picture.parents[1] / "mine.safetensors"
    mine.write_text("checkpoint small")
    time.sleep(0.15)  # what was just written is not remembered
    digests = Digests.of_user()
    digest = digests.of(mine)
    digests.remember()
    for port, refused in (("file", False), ("to", True)):
        flow = {
            "nodegraph": 1,
            "nodes": {"n": {"type": "toys.everything", "inputs": {port: "x"}}},
            "outputs": {"n": {"ref": "n"}},
        }
        record = {"flow": flow, "inputs": {}, "files": {f"n.{port}": digest}}
        chunks = PngInfo()
        chunks.add_text("nodegraph", json.dumps(record))
        Image.new("RGB", (4, 4)).save("toy.png", pnginfo=chunks)
        assert main(["run", "toy.png", "--quiet", "--trust", "--out", "o"]) == 2 * refused
        said = capsys.readouterr().err
        assert ("the flow of a picture writes nowhere unasked" in said) is refused


def chunk(kind: bytes, data: bytes, seal: int | None = None) -> bytes:
    """A PNG chunk."""
    crc = zlib.crc32(kind + data) if seal is None else seal
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


HEAD = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD, "carries no record"),
        (HEAD + chunk(b"IEND", b""), "carries no record"),
        (HEAD + b"\xff\xff\xff\xfftEXt", "carries no record"),
        (HEAD + b"\x7f\xff\xff\xfftEXt", "carries no record"),
        (HEAD + chunk(b"tEXt", b"nodegraph\0{}", 1), "the record is damaged"),
        (HEAD + chunk(b"tEXt", b"nodegraph\0{}")[:-3], "the record is damaged"),
        (HEAD + chunk(b"tEXt", b"nodegraph\0{}"), "holds no workflow"),
        (HEAD + chunk(b"tEXt", b"nodegraph\0[]"), "holds no workflow"),
        (HEAD + chunk(b"tEXt", b'nodegraph\0{"flow": 3}'), "holds no workflow"),
        (HEAD + chunk(b"tEXt", b"nodegraph\0{"), "not JSON"),
        (HEAD + chunk(b"tEXt", b"nodegraph\0" + b"[" * 10**6), "nested deeper"),
        (HEAD + chunk(b"tEXt", b"other\0{}"), "carries no record"),
    ],
)
def test_a_record_that_is_none_is_said(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    assert is_picture(path)
    with pytest.raises(WorkflowError, match=message):
        read_record(path)


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_any_bytes_are_a_record_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.png"
    good = HEAD + chunk(b"IHDR", b"x" * 13) + chunk(b"tEXt", b'nodegraph\0{"flow":{"nodes":{}}}')
    dice = random.Random(seed)
    mixed = bytearray(good)
    for _ in range(dice.randrange(4)):
        mixed[dice.randrange(8, len(mixed))] = dice.randrange(256)
    for text in (HEAD + data, good[: dice.randrange(8, len(good))], bytes(mixed)):
        path.write_bytes(text)
        with suppress(WorkflowError):
            assert "flow" in read_record(path)


@pytest.mark.parametrize("wrong", [None, 3, [], {"a": []}, {"inputs.photo": 3, "x[9].y": "z"}])
def test_a_record_of_odd_forms_is_no_traceback(tmp_path: Path, wrong: Any) -> None:
    for key in ("files", "inputs", "flows", "settings", "packages", "environment", "nodegraph"):
        record = {"flow": FLOW, "inputs": {}, key: wrong}
        path = tmp_path / "x.png"
        path.write_bytes(HEAD + chunk(b"tEXt", b"nodegraph\0" + json.dumps(record).encode()))
        assert main(["run", str(path), "--quiet", "--out", str(tmp_path / "o")]) == 2
        assert main(["verify", str(path), "--quiet"]) == 2


def test_a_record_with_names_too_long_for_a_file_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {**NODES, "l": {"type": "image.load", "inputs": {"path": "x" * 300}}}
    record = {"flow": {**FLOW, "nodes": nodes}, "inputs": {}, "files": {"l.path": "0" * 64}}
    path = tmp_path / "x.png"
    path.write_bytes(HEAD + chunk(b"tEXt", b"nodegraph\0" + json.dumps(record).encode()))
    assert main(["run", str(path), "--quiet", "--out", str(tmp_path / "o")]) == 2
    assert "l.path: 'xxx" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        {"flows": {"texts": {"d": FLOW}, "places": {"b": ["d"]}}},
        {"flow": {**FLOW, "nodes": [1]}, "files": {"l.path": "0" * 64}},
        {"flow": {**FLOW, "nodes": {"l": 3}}, "files": {"l.path": "0" * 64}},
        {"files": {"both.images[é0]": "0" * 64, "both.images[²]": "0" * 64}},
        {"files": {"l.path": ["0"]}},
    ],
)
def test_what_fuzzing_found_in_records_is_refused_in_words(
    tmp_path: Path, wrong: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"flow": FLOW, "inputs": {}, **wrong}
    path = tmp_path / "x.png"
    path.write_bytes(HEAD + chunk(b"tEXt", b"nodegraph\0" + json.dumps(record).encode()))
    assert main(["run", str(path), "--quiet", "--out", str(tmp_path / "o")]) == 2
    assert "a fault of nodegraph" not in capsys.readouterr().err
