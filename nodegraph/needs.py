"""Says before a run what it will hold in memory: weights from their headers, values from before."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .errors import NodegraphError
from .jsontext import is_table
from .models import Models
from .plan import Plan, Source, Step

FLOATS: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
"""Bytes of a number, by the names of safetensors; what is not here is held as it is."""
_SIZES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file that a node loads: bytes by dtype in the file, and bytes once it is loaded."""

    node: str
    file: Path
    stored: Mapping[str, int]
    held: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What is held while a node runs; `unknown` are nodes whose results nobody has measured."""

    node: str
    weights: int = 0
    values: int = 0
    holding: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Everything that is known of."""
        return self.weights + self.values


@dataclass(frozen=True, slots=True)
class Needs:
    """What a run needs: nodes that run, their weights, the fullest moment, the peak of before."""

    steps: int
    stored: int
    """Of these, those whose results are only read."""
    weights: tuple[Weights, ...]
    fullest: Moment
    before: int = 0
    """Bytes that the process of the last run held at most; 0 where none is known."""

    @property
    def bytes(self) -> int:
        """What has to be free: the fullest moment, or what the last run took where that is more."""
        return max(self.fullest.bytes, self.before)


@dataclass(slots=True)
class _Walk:
    """What every step of a plan and its bodies holds."""

    models: Models
    width: int
    """Bytes of a number that models compute in."""
    files: Mapping[str, Path]
    known: Mapping[str, int]
    """Bytes of the results of nodes that were measured."""
    weights: list[Weights] = field(default_factory=list[Weights])

    def loaded(self, name: str, step: Step) -> int:
        """Return the bytes of the weights that a step and what stands within it load."""
        total = 0
        for port, wanted in step.spec.inputs.items():
            place = f"{name}.{port}"
            if wanted.type.model and place in self.files:
                stored = self.models.weights(self.files[place])
                held = sum(size // FLOATS.get(d, 1) * self._each(d) for d, size in stored.items())
                self.weights.append(Weights(name, self.files[place], stored, held))
                total += held
        return total + sum(self.loaded(f"{name}/{s.id}" if s.id else name, s) for s in _in(step))

    def _each(self, dtype: str) -> int:
        return self.width if dtype in FLOATS else 1


def needs(
    plan: Plan, files: Mapping[str, Path], models: Models, where: tuple[str, str], journal: Path
) -> Needs:
    """Look through a plan as it would run.

    Args:
        plan: what is left to run, as `reuse` returns it.
        files: the model files, by `node.port`.
        where: device and dtype.
        journal: that of an earlier run, for the sizes of values; it need not be there.
    """
    device, dtype = where
    width = _SIZES.get(dtype, _SIZES["float32" if device == "cpu" else "bfloat16"])
    known, before = _measured(journal)
    before = before if device == "cpu" else 0  # of the process, not of the device
    walk = _Walk(models, width, files, known)
    moments = list(_moments(plan, walk))
    fullest = max(moments, key=lambda moment: (moment.bytes, len(moment.holding)))
    stored = sum(bool(step.stored) for step in plan.steps)
    return Needs(len(plan.steps), stored, tuple(walk.weights), fullest, before)


def _moments(plan: Plan, walk: _Walk) -> Iterator[Moment]:
    """Yield what is held while each step runs: what it makes, and what somebody still takes.

    A step that gives nothing but models, and loads none, wraps weights that are counted already.
    """
    held, left = dict[str, int | None](), dict[str, int]()
    models: set[str] = set()
    for step in plan.steps:
        weights = 0 if step.stored else walk.loaded(step.id, step)
        gives = {output.type.port for output in step.spec.outputs.values()}
        models |= gives if weights else set()
        held[step.id] = weights if weights or gives <= models else None  # models around others
        left[step.id] = sum(plan.uses.get(Source(step.id, port), 0) for port in step.spec.outputs)
        values = [each for each, loaded in held.items() if loaded is None]
        yield Moment(
            step.id,
            sum(loaded or 0 for loaded in held.values()),
            sum(walk.known.get(each, 0) for each in values),
            tuple(held),
            tuple(each for each in values if each not in walk.known),
        )
        for source in step.sources:
            if source.step in left:
                left[source.step] -= 1
        held = {each: kept for each, kept in held.items() if left[each] > 0}


def _in(step: Step) -> tuple[Step, ...]:
    return step.body.steps if step.body is not None else ()


def _measured(journal: Path) -> tuple[dict[str, int], int]:
    """Return the bytes of nodes' results in earlier runs, and the most that the last one held."""
    sizes: dict[str, int] = {}
    most = 0
    try:
        with journal.open("rb") as file:
            for line in file:
                try:
                    event: Any = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if not is_table(event):
                    continue
                if event.get("event") == "run":
                    most = 0
                node, size, peak = event.get("node"), event.get("bytes"), event.get("peak_mib")
                if isinstance(node, str) and isinstance(size, int) and isinstance(peak, int):
                    sizes[node] = size
                    most = max(most, peak * 2**20)
    except OSError:
        return {}, 0
    return sizes, most


def free_memory(device: str) -> int | None:
    """Return the bytes that are free on a device, or None where that cannot be told.

    Raises:
        NodegraphError: the device is not here.
    """
    if device != "cpu":
        return _free_on(device)
    found: list[int] = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        most = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        if most.isdecimal():
            found.append(max(0, int(most) - int(used)))
    except (OSError, ValueError, IndexError):
        pass
    if not found and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def _free_on(device: str) -> int:
    """Ask torch in a child: it takes seconds, and may not be there."""
    import subprocess
    import sys

    asked = f"import torch; print(torch.cuda.mem_get_info({device!r})[0])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", asked], capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout.strip().isdecimal():
        raise NodegraphError(f"device {device!r}: is not here; use --device cpu")
    return int(done.stdout)
