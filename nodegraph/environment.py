"""What may change the bits of a result beside its inputs: processor, threads, libraries."""

import hashlib
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

_STEERING: Final = ("ATEN_", "CUBLAS_", "DNNL_", "MKL_", "NVIDIA_", "OMP_NUM", "ONEDNN_", "TORCH_")
"""Beginnings of variables that steer numerical libraries."""


def surroundings() -> dict[str, str]:
    """Return what this machine and process bring in, as text by name; takes a millisecond."""
    found = {"processor": _processor(), "threads": str(_threads())}
    steering = {k: v for k, v in os.environ.items() if k.startswith(_STEERING)}
    return {**found, **steering, **_turned()}


def _turned() -> dict[str, str]:
    """Return what whoever uses this process has turned torch to, where it is not as it begins.

    Mostly it is not even imported by the time that keys are made.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {}
    found: dict[str, str] = {}
    for name, usual in {**_TORCH, "get_num_threads": _usual_threads()}.items():
        with suppress(AttributeError, RuntimeError):  # of another version, or half imported
            value: Any = attrgetter(name)(torch)
            said = str(value() if callable(value) else value)
            if said not in usual:
                found[f"torch.{name}"] = said
    return found


_TORCH: Final[dict[str, tuple[str, ...]]] = {
    "get_float32_matmul_precision": ("highest",),
    "are_deterministic_algorithms_enabled": ("False",),
    "get_default_dtype": ("torch.float32",),
    "backends.mkldnn.enabled": ("True",),
    "backends.cudnn.enabled": ("True",),
    "backends.cudnn.benchmark": ("False",),
    "backends.cudnn.deterministic": ("False",),
    "backends.cudnn.allow_tf32": ("True",),
    "backends.cuda.matmul.allow_tf32": ("False",),
}
"""What torch begins with."""


def _usual_threads() -> tuple[str, ...]:
    """Return how many threads torch begins with: as it is told, or on x86 one for each core."""
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name):
            return (os.environ[name],)
    cores: set[str] = set()
    if hasattr(os, "sched_getaffinity") and platform.machine() in ("x86_64", "AMD64"):
        folder = Path("/sys/devices/system/cpu")
        cores = {
            _text(folder / f"cpu{number}" / "topology" / "thread_siblings_list")
            for number in os.sched_getaffinity(0)
        }
    return (str(len(cores - {""}) or _threads()),)


def accelerators(device: str, driver: Path = Path("/proc/driver/nvidia")) -> dict[str, str]:
    """Return what a device other than the CPU brings in, without asking it: cards and driver.

    Where there are cards of several kinds, which of them are seen counts, too.
    """
    if device == "cpu":
        return {}
    models = {
        line.partition(":")[2].strip()
        for told in sorted(driver.glob("gpus/*/information"))
        for line in _text(told).splitlines()
        if line.startswith("Model:")
    }
    found = {"cards": ", ".join(sorted(models)), "driver": _text(driver / "version").strip()}
    if len(models) > 1:
        found |= {"card": device, "seen": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
    return {name: said for name, said in found.items() if said}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of distributions; "" for one that is gone."""
    return {name: _version(name) for name in distributions}


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _processor() -> str:
    """Name architecture, model and instruction sets of the processor."""
    said = [platform.machine(), platform.system()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        said += [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    except (OSError, UnicodeDecodeError):
        said.append(platform.processor())
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
