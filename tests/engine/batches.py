"""A flow for batches, and what they leave behind."""

import csv
import json
from pathlib import Path
from typing import Any

from tests.engine.flows import call

FLOW: dict[str, Any] = {
    "nodegraph": 1,
    "inputs": {
        "name": {"type": "string", "default": "bear"},
        "colour": {"type": "string", "default": "red"},
        "shiny": {"type": "boolean", "default": False},
        "number": {"type": "integer", "default": 7, "minimum": 0},
        "factor": {"type": "number", "default": 2.0},
        "toy": {"type": "toy", "default": "other.toy"},
    },
    "nodes": {
        "bear": {"type": "toys.toy", "inputs": {"name": {"ref": "inputs.name"}}},
        "paint": {
            "type": "toys.paint",
            "inputs": {
                "toy": {"ref": "bear"},
                "colour": {"ref": "inputs.colour"},
                "shiny": {"ref": "inputs.shiny"},
            },
        },
        "other": {"type": "toys.paint", "inputs": {"toy": {"ref": "inputs.toy"}}},
        "sum": {"type": "toys.add", "inputs": {"a": {"ref": "inputs.number"}, "b": 1}},
        "big": {"type": "toys.scale", "inputs": {"x": 1.5, "factor": {"ref": "inputs.factor"}}},
    },
    "outputs": {
        "toy": {"ref": "paint"},
        "other": {"ref": "other"},
        "sum": {"ref": "sum"},
        "big": {"ref": "big"},
    },
}


def answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "batch.jsonl").read_text().splitlines()]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def batch(data: str, *more: str, out: str = "out") -> int:
    return call("batch", "flow.json", "--data", data, "--out", out, *more)
