"""A run's record: one JSON line per step, read back for the curve and on resuming."""

import json
from collections.abc import Mapping
from pathlib import Path


class Log:
    """Appends steps to `log.jsonl`; lines past the step that a run resumes from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the log of a run that goes on from `step`."""
        self.path = path
        kept = [line for line in read(path) if line["step"] <= step]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Append one step."""
        line = {"step": step, **{name: float(f"{value:.6g}") for name, value in numbers.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, float]]:
    """Return the lines of a log; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines: list[dict[str, float]] = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
