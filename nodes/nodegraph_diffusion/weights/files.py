"""Tensor files as the rest sees them: names, shapes, and tensors read one at a time."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nodegraph import WeightsError
from nodegraph_diffusion.probe import Header, read_config, read_header

CONFIG = "nodegraph.config"
_WEIGHTS = ("diffusion_pytorch_model", "model")  # diffusers' file names, without the suffix
_VARIANTS = ("", ".fp16", ".bf16", ".non_ema")


@contextmanager
def refusing() -> Generator[None]:
    """Turn a probe's complaint about a file into one of weights."""
    try:
        yield
    except ValueError as error:
        raise WeightsError(str(error)) from error


@dataclass(frozen=True)
class Tensors:
    """Named tensors of one or more files; `place` is what messages call them.

    Nothing but the header is read until `read` is called, and what it returns is mapped from the
    file, not copied.
    """

    place: str
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    read: Callable[[str], Tensor]

    def below(self, *prefixes: str) -> "Tensors":
        """Return the tensors below the first prefix that any name has, without it."""
        for prefix in prefixes:
            if any(name.startswith(prefix) for name in self.shapes):
                return self.renamed(
                    {name: name.removeprefix(prefix) for name in self.shapes if _in(name, prefix)}
                )
        return self.renamed({})

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """Return the tensors in `names` under their new names."""
        old = {new: name for name, new in names.items()}
        shapes = {new: self.shapes[name] for new, name in old.items()}
        inner = self.read

        def read(name: str) -> Tensor:
            return inner(old[name])

        return replace(self, shapes=shapes, read=read)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that nodegraph wrote into the file, or nothing."""
        try:
            stated: Any = json.loads(self.metadata.get(CONFIG, "{}"))
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"{self.place}: its {CONFIG} is not JSON; it is damaged") from error
        if not isinstance(stated, dict):
            raise WeightsError(f"{self.place}: its {CONFIG} is no JSON object; it is damaged")
        return cast("dict[str, Any]", stated)


def _in(name: str, prefix: str) -> bool:
    return name.startswith(prefix)


def open_tensors(path: Path) -> Tensors:
    """Open a safetensors file, its header checked.

    Raises:
        WeightsError: the file is no usable safetensors file.
    """
    with refusing():
        header: Header = read_header(path)
    try:
        handle = safe_open(str(path), framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name}: cannot be read: {error}") from error
    read = cast("Callable[[str], Tensor]", handle.get_tensor)  # pyright: ignore[reportUnknownMemberType]
    return Tensors(path.name, header.shapes, header.metadata, read)


def open_folder(folder: Path) -> Tensors:
    """Open the weights of one model's folder in diffusers' layout.

    Raises:
        WeightsError: there are none, or only pickled ones.
    """
    for stem in _WEIGHTS:
        for variant in _VARIANTS:
            path = folder / f"{stem}{variant}.safetensors"
            if path.is_file():
                tensors = open_tensors(path)
                return replace(tensors, place=f"{folder.name}/{path.name}")
    if list(folder.glob("*.safetensors.index.json")):
        raise WeightsError(
            f"{folder.name}: its weights are split over several files, which is not supported yet; "
            "save them as one"
        )
    if list(folder.glob("*.bin")):
        raise WeightsError(
            f"{folder.name}: holds only pickled weights, which can run any code when opened; "
            "convert them to safetensors"
        )
    raise WeightsError(f"{folder.name}: holds no weights; download the folder again")


def open_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read a folder's configuration.

    Raises:
        WeightsError: it is missing or damaged.
    """
    with refusing():
        return read_config(folder, name)
