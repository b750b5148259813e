"""What may change the bits of a result beside its inputs: processor, threads, libraries."""

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_STEERING: Final = ("ATEN_", "CUBLAS_", "DNNL_", "MKL_", "NVIDIA_", "OMP_NUM", "ONEDNN_", "TORCH_")
"""Beginnings of variables that steer numerical libraries."""


def surroundings() -> dict[str, str]:
    """Return what this machine and process bring in, as text by name; takes a millisecond."""
    found = {"processor": _processor(), "threads": str(_threads())}
    return {**found, **{k: v for k, v in os.environ.items() if k.startswith(_STEERING)}}


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
