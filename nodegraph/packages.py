"""Finds installed node packages by entry points; knows their nodes without importing them."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import PackageError
from .loaded import distrust, loaded_of, remember
from .manifest import Manifest, load_manifests
from .package import Package
from .points import distributed, read_points
from .spec import NodeSpec

NODES, PROBES, MODELS = "nodegraph.nodes", "nodegraph.probes", "nodegraph.models"


@dataclass(frozen=True, slots=True)
class Packages:
    """What is installed: node packages by name, and why one cannot be used."""

    entries: dict[str, tuple[Package, ...]]
    _manifests: dict[str, Manifest | PackageError] = field(
        default_factory=dict[str, Manifest | PackageError]
    )
    faults: tuple[str, ...] = ()
    """Entry points that nobody can use, with what to do."""

    @classmethod
    def installed(cls) -> "Packages":
        """Read the entry points of everything installed."""
        found: dict[str, tuple[Package, ...]] = {}
        points = read_points(NODES)
        for point in points.good:
            found[point.name] = (
                *found.get(point.name, ()),
                Package(point.name, point.module, point),
            )
        return cls(found, faults=points.faults)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all installed packages, in order of the alphabet."""
        return tuple(sorted(self.entries))

    def package(self, name: str) -> Package:
        """Return a package that is installed once.

        Raises:
            PackageError: two distributions provide it.
        """
        first, *others = self.entries[name]
        if others:
            sides = " and ".join(f"{p.distribution} {p.version}" for p in (first, *others))
            raise PackageError(f"package {name!r}: provided by {sides}; uninstall one of them")
        return first

    def read(self, names: Iterable[str]) -> None:
        """Have the manifests of several packages at hand, building missing ones side by side."""
        wanted: list[Package] = []
        for name in names:
            if name in self.entries and name not in self._manifests:
                try:
                    wanted.append(self.package(name))
                except PackageError as error:
                    self._manifests[name] = error
        self._manifests.update(load_manifests(wanted, self._modules()))

    def manifest(self, name: str) -> Manifest:
        """Return what is known of an installed package's nodes.

        Raises:
            PackageError: the package is broken, or two distributions provide it.
        """
        if name not in self._manifests:
            self.read([name])
        manifest = self._manifests[name]
        if isinstance(manifest, PackageError):
            raise manifest
        return manifest

    def spec(self, package: str, function: str) -> NodeSpec:
        """Return the specification of an installed node (KeyError when there is none)."""
        return self.manifest(package).spec(function)

    def function(self, package: str, name: str) -> Callable[..., Any]:
        """Import a package and return a node function.

        Raises:
            PackageError: the package cannot be imported, or has no such node any more.
        """
        owner, manifest = self.package(package), self.manifest(package)
        if owner.module in sys.modules:
            return owner.function(name)
        before = loaded_of(manifest)
        function = owner.function(name)
        if manifest.changed():
            distrust(manifest, before)
        else:
            remember(owner, manifest, before)
        return function

    def refresh(self) -> None:
        """Forget manifests that do not hold any more of packages that can still be imported."""
        for name, manifest in list(self._manifests.items()):
            if isinstance(manifest, Manifest) and not loaded_of(manifest) and manifest.changed():
                del self._manifests[name]

    def owner(self, identity: str) -> str:
        """Return the package of a port class, given as `module:Class`; "" where there is none."""
        near = {n: max(p.kinship(identity) for p in sides) for n, sides in self.entries.items()}
        nearest = max(sorted(near), key=near.__getitem__, default="")
        return nearest if near.get(nearest) else ""

    def _modules(self) -> tuple[str, ...]:
        return tuple(sorted({p.module for owners in self.entries.values() for p in owners}))


@dataclass(frozen=True)
class Places:
    """Files that packages offer without being imported: probes and folders of models."""

    @cached_property
    def probes(self) -> dict[str, Path]:
        """Probe modules by entry-point name."""
        return self._read[PROBES][0]

    @cached_property
    def models(self) -> dict[str, Path]:
        """Folders of shipped models by entry-point name."""
        return self._read[MODELS][0]

    @property
    def faults(self) -> tuple[str, ...]:
        """Entry points that nobody can use, with what to do."""
        return tuple(fault for group in (PROBES, MODELS) for fault in self._read[group][1])

    @cached_property
    def _read(self) -> dict[str, tuple[dict[str, Path], tuple[str, ...]]]:
        return {group: _places(group) for group in (PROBES, MODELS)}


def _places(group: str) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return what the entry points of a group lead to, and those that lead nowhere."""
    points = read_points(group)
    found: dict[str, Path] = {}
    faults = list(points.faults)
    for point in points.good:
        path = locate(point.module)
        if path is None:
            side = f"{distributed(point.dist)}: entry point {point.name!r} of {group}"
            faults.append(f"{side}: there is no {point.module}; repair or uninstall it")
        else:
            found[point.name] = path
    return found, tuple(faults)


def locate(dotted: str) -> Path | None:
    """Find the file or folder of a dotted module name without importing its package."""
    top, *rest = dotted.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    for root in spec.submodule_search_locations or ():
        path = Path(root, *rest)
        if path.is_dir():
            return path
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
    return Path(spec.origin) if spec.origin and not rest else None
