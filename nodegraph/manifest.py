"""What a package's nodes are, read once in a child process and kept in the user's cache."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from . import __version__
from .errors import PackageError
from .modules import digest_of, find_module, source_files, stamp, unit_of
from .package import Package
from .spec import NodeSpec
from .writing import scratch, sweep, write_whole

FORMAT: Final = 6
IMPORT_SECONDS: Final = 120
PATIENT_SECONDS: Final = 5
"""How long a package is imported without a word."""
_CHILD = (
    "import json, sys; request = json.loads(sys.stdin.read()); sys.path[:] = request['path'];"
    "from nodegraph.inventory import answer; answer(request)"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The nodes and port types of one package, as plain data."""

    data: dict[str, Any]
    _specs: dict[str, NodeSpec] = field(default_factory=dict[str, NodeSpec])

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, in order of the alphabet."""
        return tuple(sorted(self.data["nodes"]))

    @property
    def ports(self) -> dict[str, dict[str, Any]]:
        """Port types by `module:Class`: name, suffixes, and what their codecs can do."""
        ports: dict[str, dict[str, Any]] = self.data["ports"]
        return ports

    def changed(self) -> list[str]:
        """Return the files of the package that hold something else than when this was made.

        Modules that it imports and that were not there then are named, too.
        """
        found = [name for name in self.data["missing"] if unit_of(name)]
        for unit, was in self.data["stamp"].items():
            now = dict(source_files(unit))
            if now != was and digest_of(unit) != self.data["digests"][unit]:
                found += sorted(p for p in {**was, **now} if was.get(p) != now.get(p))
        return found

    def spec(self, name: str) -> NodeSpec:
        """Return a node's specification (KeyError when there is none)."""
        if name not in self._specs:
            self._specs[name] = NodeSpec.from_json(self.data["nodes"][name])
        return self._specs[name]


def cache_folder() -> Path:
    """Return the user's cache folder, or what NODEGRAPH_CACHE names."""
    named = os.environ.get("NODEGRAPH_CACHE")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 (pathlib's raises for unknown users)
    from platformdirs import user_cache_path

    return user_cache_path("nodegraph", appauthor=False)


def load_manifests(
    packages: Sequence[Package], modules: tuple[str, ...]
) -> dict[str, Manifest | PackageError]:
    """Return manifests by package name, from the cache where it still holds.

    Args:
        modules: modules of all installed packages; what one imports of another is watched too.
    """
    found: dict[str, Manifest | PackageError] = {}
    missing: list[Package] = []
    folder = cache_folder() / "manifests" if packages else Path()
    for package in packages:
        kept = _kept(_place(folder, package))
        if kept is None:
            missing.append(package)
        else:
            found[package.name] = kept
    if missing:
        found.update(_build_all(missing, modules, folder))
    return found


def _build_all(
    packages: Sequence[Package], modules: tuple[str, ...], folder: Path
) -> dict[str, Manifest | PackageError]:
    """Build manifests side by side; when this is interrupted, no child is waited for."""
    children: list[subprocess.Popen[bytes]] = []
    build = partial(_build, modules=modules, folder=folder, children=children)
    with ThreadPoolExecutor(min(len(packages), os.cpu_count() or 1)) as pool:
        try:
            built = list(pool.map(build, packages))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.kill()
            raise
    return {package.name: each for package, each in zip(packages, built, strict=True)}


def _place(folder: Path, package: Package) -> Path:
    module = package.module
    spec = find_module(module.partition(".")[0])
    origin = str(spec.origin) if spec else ""
    key = hashlib.sha256(f"{origin}\0{module}\0{sys.prefix}".encode()).hexdigest()[:16]
    return folder / f"{package.name}-{key}.json"


def _kept(place: Path) -> Manifest | None:
    try:
        data = json.loads(place.read_bytes())
        if data["format"] == FORMAT and data["nodegraph"] == __version__:
            same = stamp(data["stamp"]) == data["stamp"]
            return Manifest(data) if same and not any(map(unit_of, data["missing"])) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is built again
    return None


def _build(
    package: Package,
    modules: tuple[str, ...],
    folder: Path,
    children: list["subprocess.Popen[bytes]"],
) -> Manifest | PackageError:
    with scratch() as made:
        answer = made / "answer.json"
        request = {
            "path": sys.path,
            "name": package.name,
            "module": package.module,
            "modules": modules,
            "answer": str(answer),
        }
        fault = _run_child(package, json.dumps(request), children)
        try:
            data = json.loads(answer.read_bytes())
        except (OSError, ValueError):
            data = {"error": fault}
    if "error" in data:
        return PackageError(package.broken(data["error"]))
    _keep(_place(folder, package), data)
    return Manifest(data)


def _run_child(package: Package, request: str, children: list["subprocess.Popen[bytes]"]) -> str:
    """Run the child; what the package prints while it is imported is nobody's business."""
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-P", "-c", _CHILD]  # -P: nothing of the current folder
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as child:
            children.append(child)
            try:
                _wait(child, package, request)
            except subprocess.TimeoutExpired:
                child.kill()
                return f"not done after {IMPORT_SECONDS} s"
    except OSError as error:
        return f"no child process: {error}"
    return "the process that imported it ended early"


def _wait(child: "subprocess.Popen[bytes]", package: Package, request: str) -> None:
    """Wait for the child, with a word to the user where it takes long."""
    try:
        child.communicate(request.encode(), timeout=PATIENT_SECONDS)
    except subprocess.TimeoutExpired:
        side = f"{package.name!r} ({package.distribution})"
        logging.getLogger("nodegraph").warning(
            "nodegraph: package %s takes long to import; it is waited for, up to %d s, this once",
            *(side, IMPORT_SECONDS),
        )
        child.communicate(timeout=IMPORT_SECONDS - PATIENT_SECONDS)


def _keep(place: Path, data: dict[str, Any]) -> None:
    """Write the manifest in one step; a cache that cannot be written is only slower."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(data).encode())
        sweep(place.parent)
    except OSError:
        return
