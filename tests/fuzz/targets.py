"""What is fuzzed: readers of what strangers send. Each must answer, or refuse in its own words."""

import hashlib
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DIFFUSION = ROOT / "nodes" / "nodegraph_diffusion"
HEAD = b"\x89PNG\r\n\x1a\n"
FOUND = b"a file that is there"

Fuzzed = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """A reader: files whose branches count, inputs to begin with, and a call that checks it."""

    files: tuple[Path, ...]
    seeds: Callable[[], Iterator[bytes]]
    prepare: Callable[[Path], Fuzzed]
    """Imports the reader; it gets a folder for files."""
    wrap: tuple[int, int] = (0, 0)
    """Bytes before and after the JSON in an input, which are left as they are."""


def beside(name: str) -> Any:
    """Import a module of the diffusion package without the package, which needs torch."""
    if str(DIFFUSION) not in sys.path:
        sys.path.insert(0, str(DIFFUSION))
    return import_module(name)


# Workflows


def workflows() -> Iterator[bytes]:
    for path in sorted((ROOT / "workflows").glob("*.json")):
        yield json.dumps(json.loads(path.read_text())).encode()
    for path in sorted((ROOT / "tests" / "engine" / "bad").glob("*.json")):
        if path.is_file():
            yield path.read_bytes()[:2000]


def workflow(folder: Path) -> Fuzzed:
    """A text is a workflow whose problems are all told, or one line of refusal."""
    from nodegraph import jsontext, reading
    from nodegraph.checking import check_workflow
    from nodegraph.errors import WorkflowError
    from nodegraph.models import Models
    from nodegraph.packages import Packages

    packages, models = Packages.installed(), Models()
    packages.read(packages.names)
    place = folder / "x.json"

    def call(data: bytes) -> None:
        place.write_bytes(data)
        try:
            flow = reading.load(place)
        except WorkflowError as error:
            tell(error)
            return
        read = jsontext.parse(data.decode("utf-8-sig"), "x.json")
        assert json.loads(json.dumps(read)) == read
        checked = check_workflow(flow, {}, packages, models)
        assert (checked.plan is None) == bool(checked.problems)
        for problem in checked.problems:
            assert problem.code
            assert at(read, problem.pointer), problem

    return call


def tell(error: Exception) -> None:
    """Hold that a refusal can be shown: words of bounded length, without control characters."""
    text = str(error)
    assert text
    assert len(text) < 100_000


def at(data: Any, pointer: str) -> bool:
    """Say whether a pointer leads into a document, or to something that it lacks."""
    for word in pointer.split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(data, dict):
            if key not in data:
                return True  # what is missing is pointed at, too
            data = data[key]
        elif isinstance(data, list):
            if not key.isdecimal() or int(key) >= len(data):
                return False
            data = data[int(key)]
        else:
            return True
    return True


# Records in pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def records() -> Iterator[bytes]:
    flow = {"nodegraph": 1, "inputs": {"photo": {"type": "image", "default": "a.png"}}}
    nodes = {
        "a": {"type": "image.load", "inputs": {"path": "a.png"}},
        "l": {"type": "image.load", "inputs": {"paths": ["a.png"]}},
        "b": {"flow": "in.json", "inputs": {"mask": "a.png"}},
    }
    inner = {
        "nodegraph": 1,
        "inputs": {name: {"type": "image", "default": "b.png"} for name in ("mask", "other")},
        "nodes": {"c": {"type": "image.load", "inputs": {"path": "b.png"}}},
    }
    digest = hashlib.sha256(FOUND).hexdigest()
    record = {
        "flow": {**flow, "nodes": nodes, "outputs": {"o": {"ref": "a.image"}}},
        "inputs": {"photo": "a.png"},
        "files": {
            "a.path": digest,
            "inputs.photo": digest,
            "l.paths[0]": digest,
            "a.path[0]": "",
            "b/c.path": digest,
            "b/inputs.mask": digest,
            "b/inputs.other": digest,
        },
        "flows": {"texts": {"d": inner}, "places": {"b": "d"}},
        "settings": {"device": "cpu", "dtype": "auto"},
        "packages": {"nodegraph": "0.1.0"},
    }
    yield b"r" + json.dumps(record).encode()
    yield b"p" + HEAD + chunk(b"IHDR", b"x" * 13) + chunk(b"tEXt", b'nodegraph\0{"flow":{}}')
    yield b"p" + HEAD + chunk(b"tEXt", b"other\0x") + chunk(b"IEND", b"")


def record(folder: Path) -> Fuzzed:
    """Bytes are a picture with a record, from which a flow is made again, or a refusal."""
    from nodegraph import __version__
    from nodegraph.again import again, differences
    from nodegraph.digests import Digests
    from nodegraph.errors import WorkflowError
    from nodegraph.picture import is_picture, read_record

    picture = folder / "x.png"
    (folder / "a.png").write_bytes(FOUND)
    digests = Digests(folder / "digests.json")
    now: dict[str, Any] = {"nodegraph": __version__}
    now |= {"packages": {}, "files": {}, "environment": {}}

    def call(data: bytes) -> None:
        whole = HEAD + chunk(b"tEXt", b"nodegraph\0" + data[1:])
        picture.write_bytes(data[1:] if data[:1] == b"p" else whole)
        try:
            if is_picture(picture):
                read = read_record(picture)
                again(read, picture, digests)
                differences(read, now)
        except WorkflowError as error:
            tell(error)

    return call


# Headers of safetensors files


def headers() -> Iterator[bytes]:
    def file(header: dict[str, Any], data: bytes) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    weight = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    half = {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}
    empty = {"dtype": "I64", "shape": [0, 4], "data_offsets": [0, 0]}
    note = {"nodegraph.config": '{"family": "sd1"}', "format": "pt"}
    yield file({"model.diffusion_model.a.attn2.to_k.weight": weight, "b": half}, b"x" * 22)
    yield file({"__metadata__": note, "control_model.a": weight}, b"x" * 16)
    yield file({"e": empty}, b"")
    unet = {"_class_name": "UNet2DConditionModel", "cross_attention_dim": 768}
    yield b"c" + b"-" * 7 + json.dumps(unet).encode()
    yield b"i" + b"-" * 7 + json.dumps({**unet, "architectures": ["CLIPTextModel"]}).encode()
    yield b"PK\x03\x04" + b"x" * 20
    yield b"\x80\x02" + b"x" * 20


def header(folder: Path) -> Fuzzed:
    """What our reader takes, safetensors' own takes with the same tensors."""
    deserialize: Any = import_module("safetensors").deserialize
    probe = beside("probe")
    place = folder / "x.safetensors"
    (folder / "c").mkdir()
    (folder / "i" / "unet").mkdir(parents=True)
    (folder / "i" / "model_index.json").write_text("{}")
    configs = {b"c": folder / "c", b"i": folder / "i" / "unet"}

    def call(data: bytes) -> None:
        if data[:1] in configs and data[1:8] == b"-" * 7:
            (configs[data[:1]] / "config.json").write_bytes(data[8:])
            with suppress(ValueError):
                probe.probe(folder / data[:1].decode())
                probe.weights(folder / data[:1].decode())
            return
        if len(data) > 8 and data[7] == 0xFF:  # the length as it is, for what lies behind it
            body = data[8:]
            end = body.rfind(b"}") + 1
            data = struct.pack("<Q", end) + body
        place.write_bytes(data)
        try:
            read = probe.read_header(place)
        except ValueError as error:
            tell(error)
            return
        theirs = {name: tuple(told["shape"]) for name, told in deserialize(data)}
        assert theirs == read.shapes
        probe.probe(place)
        assert sum(probe.weights(place).values()) < len(data)

    return call


# Prompts


def prompts() -> Iterator[bytes]:
    for text in ("a (red:1.3) cube", "((x))[y]", r"\(a\) (b:-.5)", "(a:1e9)", "((a:2) b:3)", "é("):
        yield text.encode()


def prompt(folder: Path) -> Fuzzed:
    """Weights are finite and within limits, neighbours differ, and escaped text is plain."""
    parser = beside("prompt")

    def call(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape" if data[:1] == b"s" else "replace")
        for syntax in ("comfy", "a1111", "plain"):
            try:
                pieces = parser.parse(text, syntax)
            except ValueError as error:
                tell(error)
                continue
            assert all(abs(piece.weight) <= parser.LARGEST and piece.text for piece in pieces)
            assert all(one.weight != other.weight for one, other in pairwise(pieces))
            assert len(pieces) <= len(text)
        with suppress(ValueError):
            escaped = "".join(f"\\{c}" if c in "()[]\\" else c for c in text)
            assert parser.parse(escaped, "a1111") == parser.parse(text, "plain")

    return call


_ENGINE = ROOT / "nodegraph"
TARGETS = {
    "workflow": Target((_ENGINE / "jsontext.py", _ENGINE / "reading.py"), workflows, workflow),
    "record": Target((_ENGINE / "picture.py", _ENGINE / "again.py"), records, record, (1, 0)),
    "header": Target((DIFFUSION / "probe.py",), headers, header, (8, 0)),
    "prompt": Target((DIFFUSION / "prompt.py",), prompts, prompt),
}
