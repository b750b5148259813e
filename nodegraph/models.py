"""Finds model files by path or name, and asks packages' probes what a file holds."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeGuard

from .errors import NodegraphError, contained, reason
from .jsontext import is_list, is_table
from .packages import PROBES, Places, locate
from .points import distributed, read_points
from .values import Misfit, near, show

OURS: Final = "nodegraph"
"""The distribution whose code runs unasked."""
_SUFFIX: Final = ".safetensors"
_WEIGHTS: Final = (_SUFFIX, ".ckpt", ".pt", ".pth", ".bin")
_FOLDER_MARKS: Final = ("model_index.json", "config.json")


@dataclass(frozen=True)
class Models:
    """Where models are looked for: a path, then folders in order, then what packages ship."""

    folders: tuple[Path, ...] = ()
    places: Places = field(default_factory=Places)
    wary: bool = False
    """Ask our own probes only: the flow is a stranger's, and others' are code, too."""
    _listed: dict[Path, list[tuple[str, Path]]] = field(
        default_factory=dict[Path, list[tuple[str, Path]]]
    )
    _probes: dict[str, Any] = field(default_factory=dict[str, Any])
    _held: dict[Path, dict[str, Any] | None] = field(
        default_factory=dict[Path, dict[str, Any] | None]
    )

    @classmethod
    def searching(cls, folders: Sequence[str | Path] = (), *, wary: bool = False) -> "Models":
        """Search some folders, then those of NODEGRAPH_MODELS."""
        if isinstance(folders, str | Path):
            folders = [folders]
        named = os.environ.get("NODEGRAPH_MODELS", "").split(os.pathsep)
        return cls(tuple(expanded(each) for each in (*folders, *named) if each), wary=wary)

    def resolve(self, name: str, base: Path) -> Path:
        """Return the file or folder of a model.

        Raises:
            Misfit: there is none, or more than one; the folders searched are named.
        """
        direct = Path(os.path.normpath((base / expanded(name)).absolute()))
        for path in (direct, direct.with_name(direct.name + _SUFFIX)):
            if _is_model(path):
                return path
        for folders in ([folder] for folder in self.folders):
            found = self._matches(name, folders)
            if found:
                return _only(name, found)
        shipped = self._matches(name, list(self.places.models.values()))
        if shipped:
            return _only(name, shipped)
        raise Misfit("missing_model", self._missing(name, base))

    def own(self, path: Path) -> bool:
        """Say whether a path lies in one of the folders, wherever symbolic links there lead."""
        folders = (*self.folders, *self.places.models.values())
        return any(path.absolute().is_relative_to(folder.absolute()) for folder in folders)

    def names(self, folder: Path) -> set[str]:
        """Return the names of the models below a folder."""
        return {Path(rel).name.removesuffix(_SUFFIX) for rel, _ in self._list(folder)}

    def holds(self, path: Path) -> dict[str, Any] | None:
        """Say what a model file holds (`kind`, `family`), or None when no probe knows it.

        Raises:
            Misfit: a probe says that the file cannot be used.
        """
        if path not in self._held:
            self._held[path] = self._ask(path)
        return self._held[path]

    def weights(self, path: Path) -> dict[str, int]:
        """Return the bytes of a model's weights by dtype, as the packages' probes count them."""
        for name in self._asked:
            try:
                counted = self._answer(name, "weights", path)
            except Exception:  # noqa: BLE001 (a stranger's code, which may know no weights)
                continue
            if counted and _are_weights(counted):
                return counted
        return {}

    def _ask(self, path: Path) -> dict[str, Any] | None:
        """Ask every probe; a complaint counts only where no other package knows the file."""
        complaints: list[str] = []
        for name in self._asked:
            failed = f"{path.name}: probe {name!r} failed"
            try:
                told = self._answer(name, "probe", path)
            except (ValueError, OSError) as error:
                complaints.append(str(error) or f"{failed}: {reason(error)}")
            except NodegraphError as error:
                complaints.append(f"{failed}: {error}")
            except Exception as error:  # noqa: BLE001 (a stranger's code)
                complaints.append(f"{failed}: {reason(error)}")
            else:
                if _is_answer(told):
                    return told
                if told is not None:
                    complaints.append(f"{failed}: it says {show(told)}, not {{'kind': 'a word'}}")
        if complaints:
            raise Misfit("bad_model", complaints[0])
        return None

    @cached_property
    def _asked(self) -> dict[str, Path]:
        """The probes that are asked, by name."""
        if not self.wary:
            return self.places.probes
        ours = [p for p in read_points(PROBES).good if distributed(p.dist) == OURS]
        found = {point.name: locate(point.module) for point in ours}
        return {name: path for name, path in found.items() if path}

    def _answer(self, name: str, ability: str, path: Path) -> object:
        """Call a function of a probe, which can neither end the program nor spoil its output."""
        with contained("it"), redirect_stdout(sys.stderr):
            return getattr(self._module(name), ability)(path)

    def _module(self, name: str) -> Any:
        if name not in self._probes:
            self._probes[name] = _load_probe(name, self._asked[name])
        return self._probes[name]

    def _matches(self, name: str, folders: list[Path]) -> list[Path]:
        wanted = name.replace(os.sep, "/").removeprefix("./")
        found = [path for folder in folders for rel, path in self._list(folder) if _is(rel, wanted)]
        return sorted(set(found))

    def _list(self, folder: Path) -> list[tuple[str, Path]]:
        if folder not in self._listed:
            self._listed[folder] = [(p.relative_to(folder).as_posix(), p) for p in _walk(folder)]
        return self._listed[folder]

    def _missing(self, name: str, base: Path) -> str:
        searched = [base, *self.folders]
        shipped = sorted(self.places.models)
        names = {
            name
            for folder in (*self.folders, *self.places.models.values())
            for name in self.names(folder)
        }
        where = ", ".join(str(folder) for folder in searched)
        if shipped:
            where += f" and the models of {', '.join(shipped)}"
        help_ = near(name, names) or "; give a path, or a folder with --models"
        return f"no model {show(name)}; searched {where}{help_}"


def expanded(path: str | Path) -> Path:
    """Return a path with `~` as a home folder; what names nobody's stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (pathlib's raises for unknown users)


def _is(rel: str, wanted: str) -> bool:
    return any(
        form == wanted or form.endswith("/" + wanted) for form in (rel, rel.removesuffix(_SUFFIX))
    )


def _only(name: str, found: list[Path]) -> Path:
    if len(found) > 1:
        listed = ", ".join(str(path) for path in found)
        raise Misfit("ambiguous_model", f"{name!r} is more than one model: {listed}; give a path")
    return found[0]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield model files and diffusers folders below a folder, each folder visited once."""
    seen: set[str] = set()
    for place, below, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        if place != str(folder) and any(mark in files for mark in _FOLDER_MARKS):
            below.clear()
            yield Path(place)
        else:
            yield from (Path(place, file) for file in files if file.endswith(_WEIGHTS))


def _is_model(path: Path) -> bool:
    try:
        return path.is_file() or any((path / mark).is_file() for mark in _FOLDER_MARKS)
    except OSError:  # such as a name that is too long
        return False


def _is_answer(told: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a probe names one kind, or several, and a family or none."""
    if not is_table(told):
        return False
    kinds = told.get("kinds") or [told.get("kind")]
    words = [*kinds, told.get("family") or ""] if is_list(kinds) else [None]
    return all(isinstance(word, str) for word in words)


def _are_weights(counted: object) -> TypeGuard[dict[str, int]]:
    if not is_table(counted):
        return False
    return all(isinstance(size, int) and size >= 0 for size in counted.values())


def _knows_nothing(path: Path) -> None:
    """Be the probe of a file that cannot be loaded as a module."""


def _load_probe(name: str, path: Path) -> Any:
    """Load a probe by its file, so that the package around it is not imported."""
    module_name = f"_nodegraph_probe_{name}"
    spec = spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        return SimpleNamespace(probe=_knows_nothing)
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module
