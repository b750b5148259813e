"""A run's record: one JSON line per step, read back for the curve and on resuming."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, cast

from nodegraph_training.kept import replacing


class Log:
    """Appends steps to `log.jsonl`; lines past the step that a run resumes from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the log of a run that goes on from `step`."""
        self.path = path
        kept = [line for line in read(path) if line["step"] <= step]
        with replacing(path) as fresh:
            fresh.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Append one step."""
        line = {"step": step, **{name: float(f"{value:.6g}") for name, value in numbers.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, float]]:
    """Return the lines of a log up to one that is no step, such as a last one that was cut off."""
    if not path.exists():
        return []
    lines: list[dict[str, float]] = []
    for text in path.read_bytes().splitlines():
        try:
            line: Any = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not _is_step(line):
            break
        lines.append(line)
    return lines


def _is_step(line: object) -> TypeGuard[dict[str, float]]:
    """Say whether a line has a step and a loss, and nothing but numbers that a curve can show."""
    if not isinstance(line, dict) or not {"step", "loss"} <= line.keys():
        return False
    numbers = cast("dict[str, object]", line).values()
    return all(isinstance(n, int | float) and abs(n) < 1e30 for n in numbers)
