"""Looks at the machine, the packages and the models, and says what is wrong and how to mend it."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import __version__
from .errors import PackageError
from .jsontext import is_table
from .manifest import cache_folder
from .models import Models
from .package import Package
from .packages import Packages
from .points import field_of
from .store import store_folder

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_TORCH: Final = """
import json, torch
cuda = torch.cuda.is_available()
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else []
half = torch.backends.cpu.get_cpu_capability()
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": names,
    "threads": torch.get_num_threads(), "cpu": half}))
"""
SLOW: Final = 10.0
"""Seconds of importing a package from which on it is mentioned."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; `fault` where something is to be mended."""

    topic: str
    text: str
    fault: bool = False


def examine(packages: Packages, models: Models) -> Iterator[Finding]:
    """Yield what there is, and what is wrong; takes seconds, since torch is asked."""
    yield from _machine()
    yield from _torch()
    yield from _packages(packages, models)
    yield from _models(models)
    yield from _folders()


def _machine() -> Iterator[Finding]:
    yield Finding("nodegraph", f"{__version__}, Python {platform.python_version()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f", {total / 2**30:.0f} GiB of memory"
    yield Finding("machine", f"{platform.system()} {platform.machine()}, {cores} cores{memory}")


def _torch() -> Iterator[Finding]:
    """Ask torch in a child: it takes seconds, and may not be there or not work."""
    command = [sys.executable, "-P", "-c", _TORCH]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        told = None
    if not is_table(told):
        yield Finding("torch", "cannot be imported; pip install torch", fault=True)
        return
    build = f"built for CUDA {told['cuda']}" if told["cuda"] else "a CPU build"
    yield Finding("torch", f"{told['version']}, {build}, {told['threads']} threads, {told['cpu']}")
    devices: list[Any] = told["devices"]
    yield Finding("devices", ", ".join(["cpu", *(f"cuda:{i} {n}" for i, n in enumerate(devices))]))
    yield Finding("dtypes", "float32, bfloat16" + (", float16 (cuda)" if devices else ""))


def _packages(packages: Packages, models: Models) -> Iterator[Finding]:
    packages.read(packages.names)
    for fault in dict.fromkeys((*packages.faults, *models.places.faults)):
        yield Finding("package", fault, fault=True)
    for name in packages.names:
        try:
            manifest = packages.manifest(name)
            package = packages.package(name)
        except PackageError as error:
            yield Finding("package", str(error), fault=True)
            continue
        side = f"{name}: {package.distribution} {package.version}"
        yield Finding("package", f"{side}, {len(manifest.nodes)} nodes")
        seconds = float(manifest.data.get("seconds", 0))
        if seconds > SLOW:
            text = f"{side} took {seconds:.0f} s to import; import heavy libraries in its nodes"
            yield Finding("package", text, fault=True)
    for name in packages.names:
        for package in packages.entries[name]:
            yield from _demands(package)


def _demands(package: Package) -> Iterator[Finding]:
    """Compare what a distribution requires of nodegraph and torch, and its module's name."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    side = f"{package.name} ({package.distribution})"
    if package.module.partition(".")[0] in sys.stdlib_module_names:
        text = f"{side}: its module {package.module!r} has the name of one of Python's; rename it"
        yield Finding("package", text, fault=True)
    owner = package.point.dist
    if owner is None or not field_of(owner, "Name"):
        place = owner.locate_file("") if owner else "nowhere"
        text = f"{side}: its metadata below {place} is not whole; install it again"
        yield Finding("package", text, fault=True)
        return
    for text in owner.requires or []:
        with suppress(InvalidRequirement, InvalidVersion, PackageNotFoundError):
            yield from _demand(side, Requirement(text))


def _demand(side: str, wanted: "Requirement") -> Iterator[Finding]:
    present = field_of(distribution(wanted.name), "Version")
    optional = wanted.marker is not None and not wanted.marker.evaluate()
    if wanted.name not in ("nodegraph", "torch") or optional:
        return
    if not wanted.specifier.contains(present, prereleases=True):
        help_ = f"pip install -U '{wanted.name}{wanted.specifier}'"
        said = f"{side} wants {wanted.name}{wanted.specifier}, {present or 'nothing'} is there"
        yield Finding("package", f"{said}; {help_}, or another version of it", fault=True)


def _models(models: Models) -> Iterator[Finding]:
    shipped = models.places.models
    for label, folder in [
        *((str(folder), folder) for folder in models.folders),
        *((f"shipped by {name}", folder) for name, folder in sorted(shipped.items())),
    ]:
        if not folder.is_dir():
            yield Finding("models", f"{label}: no such folder; mend NODEGRAPH_MODELS", fault=True)
            continue
        names = sorted(models.names(folder))
        listed = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
        yield Finding("models", f"{label}: {len(names)} ({listed or 'none'})")
    if not models.folders:
        yield Finding("models", "no folders of yours: give --models DIR or set NODEGRAPH_MODELS")


def _folders() -> Iterator[Finding]:
    store = store_folder()
    for topic, folder in (("cache", cache_folder()), ("store", store)):
        if folder is None:
            yield Finding(topic, "turned off")
        elif _is_writable(folder):
            yield Finding(topic, str(folder))
        else:
            yield Finding(topic, f"{folder}: cannot be written; runs are slower", fault=True)


def _is_writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
