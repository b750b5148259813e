"""Broken and hostile model files: each is refused in one line, in bounded time and memory."""

import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph import WeightsError
from nodegraph_diffusion.probe import MAX_HEADER, probe, read_config
from nodegraph_diffusion.weights import (
    load_checkpoint_file,
    load_controlnet_file,
    load_vae_file,
)

LOADERS = (load_checkpoint_file, load_controlnet_file, load_vae_file)


def packed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape: Any = (1,), offsets: Any = (0, 4), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


BAD = {
    "empty": (b"", "is empty"),
    "short": (b"\x01\x02", "has only 2 bytes"),
    "cut in the header": (packed({"a": tensor()})[:20], "ends inside its header"),
    "cut in the data": (packed({"a": tensor()}, b"12"), "is cut off: 2 bytes of data where 4"),
    "huge header": (struct.pack("<Q", 2**60), "claims a header of 1152921504606846976 bytes"),
    "header over the limit": (struct.pack("<Q", MAX_HEADER + 1), "claims a header"),
    "not json": (packed(b"{nonsense"), "its header is not JSON"),
    "not utf-8": (packed(b'{"\xff": 1}'), "its header is not JSON"),
    "deep json": (packed(b"[" * 1_000_000), "its header is not JSON"),
    "long number": (packed(b'{"a": ' + b"9" * 10_000 + b"}"), "its header is not JSON"),
    "a number out of range": (packed(b'{"a": ' + b"9" * 400 + b"}"), "its header is not JSON"),
    "a fraction out of range": (packed(b'{"a": 1e999}'), "its header is not JSON"),
    "a list": (packed([]), "its header is no JSON object"),
    "no object for a tensor": (packed({"a": 1}), "is not described by an object"),
    "unknown dtype": (packed({"a": tensor(dtype="F12")}, b"1234"), "unknown dtype 'F12'"),
    "dtype no text": (packed({"a": tensor(dtype=[1])}, b"1234"), "the unknown dtype"),
    "missing shape": (packed({"a": {"dtype": "F32"}}), "bad shape or bad offsets"),
    "negative shape": (packed({"a": tensor([-1])}, b"1234"), "bad shape or bad offsets"),
    "fraction in shape": (packed({"a": tensor([1.5])}, b"1234"), "bad shape or bad offsets"),
    "true in shape": (packed({"a": tensor([True])}, b"1234"), "bad shape or bad offsets"),
    "huge shape": (packed({"a": tensor([2**63, 2])}, b"1234"), "bad shape or bad offsets"),
    "three offsets": (packed({"a": tensor(offsets=[0, 2, 4])}, b"1234"), "bad offsets"),
    "backward offsets": (packed({"a": tensor(offsets=[4, 0])}, b"1234"), "has -4 bytes for shape"),
    "wrong size": (packed({"a": tensor([2])}, b"1234"), r"has 4 bytes for shape \[2\] of F32"),
    "overlap": (packed({"a": tensor(), "b": tensor()}, b"1234"), "'b' overlaps the one before"),
    "gap": (packed({"a": tensor(offsets=[4, 8])}, b"12345678"), "'a' leaves a gap"),
    "trailing data": (packed({"a": tensor()}, b"12345"), "has 1 bytes after its data"),
    "a name twice": (
        packed(b'{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "a": {}}', b"1234"),
        "names 'a' twice",
    ),
    "metadata no object": (packed({"__metadata__": [1]}), "its metadata is no JSON object"),
    "metadata an empty list": (packed({"__metadata__": []}), "its metadata is no JSON object"),
    "metadata no text": (packed({"__metadata__": {"a": 1}}), "its metadata"),
    "half a character": (packed(b'{"__metadata__": {"a": "\\ud800"}}'), "its header is not JSON"),
    "pickle": (pickle.dumps({"a": 1}), "is a pickle, which can run any code"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_everything_that_opens_it(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(ValueError, match=message) as told:
        probe(path)
    for load in LOADERS:
        with pytest.raises(WeightsError, match=message) as raised:
            load(path)
        assert str(raised.value) == str(told.value)
    assert str(told.value).startswith("bad.safetensors: ")
    assert "\n" not in str(told.value)
    assert time.process_time() - started < 20.0


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".safetensors"])
def test_a_pickled_checkpoint_is_refused_with_the_reason(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save({"state_dict": {"a": torch.zeros(1)}}, path)
    assert zipfile.is_zipfile(path)
    reason = "is a pickle, which can run any code when it is opened; convert it to safetensors"
    with pytest.raises(WeightsError, match=reason):
        load_checkpoint_file(path)


def test_a_pickle_is_refused_without_running_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps(Trap()))
    for load in LOADERS:
        with pytest.raises(WeightsError, match="is a pickle"):
            load(path)
    assert not (tmp_path / "sprung").exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")  # opening it would wait for ever
    for name in ("pipe.safetensors", "absent.safetensors"):
        for load in LOADERS:
            with pytest.raises(WeightsError, match=f"{name}: is not a file"):
                load(tmp_path / name)


def test_a_configuration_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"config\.json: is not a file"):
        read_config(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for load in LOADERS:
        with pytest.raises(WeightsError, match=r"empty: (has no folder unet|holds no weights)"):
            load(tmp_path / "empty")
    assert probe(tmp_path / "empty") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is no JSON object"),
        (b"[" * 100_000, "is not JSON"),
        (b" " * (2**20 + 1), "is larger than 1048576 bytes"),
    ],
)
def test_a_bad_config_in_a_folder_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=f"config.json: {message}"):
        probe(tmp_path)


def test_a_header_of_a_hundred_thousand_tensors_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "many.safetensors"
    header = {f"t{i}": tensor([0], [0, 0]) for i in range(100_000)}
    path.write_bytes(packed(header))
    started = time.process_time()
    assert probe(path) is None
    assert time.process_time() - started < 20.0
