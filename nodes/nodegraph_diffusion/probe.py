"""Tells from a model file's header, with the standard library alone, what the file holds.

This file is also loaded by itself, without the package around it, to check workflows quickly.
"""

import json
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import isinf, prod
from pathlib import Path
from typing import Any, Final, cast

MAX_HEADER: Final = 16 * 2**20  # bytes; real headers stay below two million
MAX_CONFIG: Final = 2**20  # bytes of a config.json
BYTES: Final = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
_PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_PICKLED: Final = (
    "is a pickle, which can run any code when it is opened; "
    "convert it to safetensors and give that file"
)


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: dtype as safetensors calls it, shape, bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """What stands before the data of a safetensors file."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor."""
        return {name: entry.shape for name, entry in self.tensors.items()}


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file, in bounded time and memory.

    Raises:
        ValueError: the file is not a usable safetensors file; one line says why.
    """
    if path.is_dir():
        raise ValueError(f"{path.name}: is a folder; give a safetensors file")
    if not path.is_file():
        raise ValueError(f"{path.name}: is not a file; give a safetensors file")
    try:
        with path.open("rb") as file:
            start = file.read(8)
            _refuse_other_formats(path, start)
            total = path.stat().st_size
            (length,) = struct.unpack("<Q", start)
            _check_length(path, length, total)
            text = file.read(length)
    except OSError as error:
        raise ValueError(f"{path.name}: cannot be read: {error.strerror}") from error
    tensors, metadata = _parse(path, text)
    _check_layout(path, tensors, total - 8 - length)
    return Header(tensors, metadata)


def _refuse_other_formats(path: Path, start: bytes) -> None:
    if not start:
        raise ValueError(f"{path.name}: is empty; download or copy it again")
    pickled = start[:4] == b"PK\x03\x04" or (start[0] == 0x80 and start[1:2] in b"\x02\x03\x04\x05")
    if path.suffix.lower() in _PICKLES or pickled:
        raise ValueError(f"{path.name}: {_PICKLED}")
    if len(start) < 8:
        raise ValueError(f"{path.name}: has only {len(start)} bytes; download or copy it again")


def _check_length(path: Path, length: int, total: int) -> None:
    if length > MAX_HEADER:
        raise ValueError(
            f"{path.name}: claims a header of {length} bytes, more than the {MAX_HEADER} allowed; "
            "it is damaged or no safetensors file"
        )
    if length > total - 8:
        raise ValueError(
            f"{path.name}: ends inside its header ({total} bytes); download or copy it again"
        )


def _finite(text: str) -> float:
    """Read a number as safetensors does, which has no larger ones than a double holds."""
    number = float(text)
    if isinf(number):
        raise ValueError("number out of range")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _parse(path: Path, text: bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    twice: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counted = Counter(name for name, _ in pairs)
        twice.extend(name for name, count in counted.items() if count > 1)
        return dict(pairs)

    try:
        data: Any = json.loads(
            text.decode(), object_pairs_hook=note, parse_float=_finite, parse_int=_whole
        )
        if b"\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path.name}: its header is not JSON; it is damaged or no safetensors file"
        ) from error
    if twice:
        raise ValueError(f"{path.name}: names {twice[0][:80]!r} twice; it is damaged")
    if not isinstance(data, dict):
        raise ValueError(f"{path.name}: its header is no JSON object; it is damaged")
    named = cast("dict[str, Any]", data)
    metadata: object = named.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    tensors = {name: _entry(path, name, value) for name, value in named.items()}
    if not isinstance(metadata, dict):
        raise ValueError(f"{path.name}: its metadata is no JSON object; it is damaged")
    texts = cast("dict[str, object]", metadata)
    told = {key: value for key, value in texts.items() if isinstance(value, str)}
    if len(told) < len(texts):
        raise ValueError(f"{path.name}: its metadata holds more than text; it is damaged")
    return tensors, told


def _entry(path: Path, name: str, value: Any) -> Entry:
    place = f"{path.name}: tensor {name[:80]!r}"
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not described by an object; the file is damaged")
    described = cast("dict[str, Any]", value)
    dtype: Any = described.get("dtype")
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise ValueError(f"{place} has the unknown dtype {str(dtype)[:40]!r}; convert the file")
    shape, offsets = _naturals(described.get("shape")), _naturals(described.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2 or len(shape) > 8:
        raise ValueError(f"{place} has a bad shape or bad offsets; the file is damaged")
    start, end = offsets
    if end - start != prod(shape) * BYTES[dtype]:
        raise ValueError(
            f"{place} has {end - start} bytes for shape {list(shape)} of {dtype}; damaged"
        )
    return Entry(dtype, shape, start, end)


def _naturals(value: Any) -> tuple[int, ...] | None:
    """Return a list of sizes as a tuple, None for anything else."""
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    sizes = tuple(item for item in items if type(item) is int and 0 <= item < 2**48)
    return sizes if len(sizes) == len(items) else None


def _check_layout(path: Path, tensors: dict[str, Entry], size: int) -> None:
    reached = 0
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != reached:
            how = "overlaps the one before it" if entry.start < reached else "leaves a gap"
            raise ValueError(f"{path.name}: tensor {name[:80]!r} {how}; the file is damaged")
        reached = entry.end
    if reached > size:
        raise ValueError(
            f"{path.name}: is cut off: {size} bytes of data where {reached} are needed; "
            "download or copy it again"
        )
    if reached < size:
        raise ValueError(f"{path.name}: has {size - reached} bytes after its data; it is damaged")


def probe(path: Path) -> dict[str, Any] | None:
    """Say what a model file or a folder in diffusers' layout holds.

    Returns:
        `kind` ("checkpoint", "unet", "controlnet", "vae", "text_encoder" or "lora") and, where the
        header tells, `family` ("sd1", "sd2", "sdxl", or the name in the file's own metadata); None
        for a file of another sort.

    Raises:
        ValueError: the file is broken or must not be opened; one line says why.
    """
    if path.is_dir():
        return _probe_folder(path)
    header = read_header(path)
    kind = kind_of(header.tensors)
    if kind is None:
        return None
    return _told(kind, stated_family(header.metadata) or family_of(header.shapes))


def weights(path: Path) -> dict[str, int]:
    """Count the bytes of a model's weights by dtype, as safetensors calls it.

    A folder in diffusers' layout counts with what is in it and one level below, one variant each.

    Raises:
        ValueError: a file is broken; one line says why.
    """
    counted: Counter[str] = Counter()
    for file in _files(path) if path.is_dir() else [path]:
        for entry in read_header(file).tensors.values():
            counted[entry.dtype] += entry.end - entry.start
    return dict(counted)


def _files(folder: Path) -> Iterable[Path]:
    """Return one file for each network, the plain one where there is also a variant as fp16."""
    found: dict[Path, Path] = {}
    paths = [*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]
    for path in sorted(paths, key=lambda path: (path.name.count("."), path)):
        if not path.parent.name.startswith(("safety_checker", "feature_extractor")):
            found.setdefault(path.with_name(path.name.partition(".")[0]), path)
    return found.values()


def _told(kind: str, family: str) -> dict[str, Any]:
    return {"kind": kind, "family": family} if family else {"kind": kind}


def stated_family(metadata: dict[str, str]) -> str:
    """Return the family that a file written by nodegraph states, or an empty string."""
    try:
        stated: Any = json.loads(metadata.get("nodegraph.config", "{}"))
    except (ValueError, RecursionError):
        return ""
    family: Any = cast("dict[str, Any]", stated).get("family") if isinstance(stated, dict) else ""
    return family if isinstance(family, str) else ""


def kind_of(names: Iterable[str]) -> str | None:
    """Say what sort of model has tensors of these names, or None."""
    heads = {".".join(name.split(".")[:2]) for name in names}
    tops = {head.split(".")[0] for head in heads}
    if any(top.startswith("lora_") for top in tops):
        return "lora"
    if tops & {"control_model", "zero_convs", "controlnet_down_blocks", "input_hint_block"}:
        return "controlnet"  # the first released ones came with the UNet that they were trained on
    if "model.diffusion_model" in heads:
        return "checkpoint"
    if tops & {"output_blocks", "up_blocks"}:
        return "unet"
    if "first_stage_model" in tops or {"encoder", "decoder"} <= tops:
        return "vae"
    if tops & {"text_model", "cond_stage_model"} or "embeddings.token_embedding" in heads:
        return "text_encoder"
    return None


def family_of(shapes: dict[str, tuple[int, ...]]) -> str:
    """Tell the family of a UNet or ControlNet by the width of the text it attends to.

    Source: SD 1 attends to 768 channels, SD 2 to 1024, SDXL to 2048.
    """
    widths = {
        shape[1]
        for name, shape in shapes.items()
        if name.endswith("attn2.to_k.weight") and len(shape) == 2
    }
    if len(widths) != 1:
        return ""
    return {768: "sd1", 1024: "sd2", 2048: "sdxl"}.get(widths.pop(), "")


_CLASSES: Final = {
    "UNet2DConditionModel": "unet",
    "ControlNetModel": "controlnet",
    "AutoencoderKL": "vae",
    "CLIPTextModel": "text_encoder",
}
_WIDTHS: Final = {768: "sd1", 1024: "sd2", 2048: "sdxl"}


def _probe_folder(path: Path) -> dict[str, Any] | None:
    if (path / "model_index.json").is_file():
        unet = path / "unet"
        if not unet.is_dir():
            return None
        width = read_config(unet).get("cross_attention_dim")
        return _told("checkpoint", _WIDTHS.get(width, "") if isinstance(width, int) else "")
    if not (path / "config.json").is_file():
        return None
    config = read_config(path)
    kind = _CLASSES.get(_class_of(config))
    width = config.get("cross_attention_dim")
    family = _WIDTHS.get(width, "") if isinstance(width, int) else ""
    return None if kind is None else _told(kind, family)


def _class_of(config: dict[str, Any]) -> str:
    architectures: object = config.get("architectures")
    listed = cast("list[object]", architectures) if isinstance(architectures, list) else []
    return str(config.get("_class_name") or (listed or [""])[0])


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read the configuration in a folder in diffusers' layout.

    Raises:
        ValueError: it is missing, too large or not a JSON object.
    """
    path = folder / name
    place = f"{folder.name}/{name}"
    if path.exists() and not path.is_file():
        raise ValueError(f"{place}: is not a file; download the folder again")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG + 1)
    except OSError as error:
        raise ValueError(f"{place}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_CONFIG:
        raise ValueError(f"{place}: is larger than {MAX_CONFIG} bytes; it is damaged")
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: is not JSON; it is damaged") from error
    if not isinstance(data, dict):
        raise ValueError(f"{place}: is no JSON object; it is damaged")
    return cast("dict[str, Any]", data)
