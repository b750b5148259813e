"""What the engine costs: start, check, each node of a chain; `python benchmarks/engine.py`.

CPU time throughout, the least of several runs, so that a busy machine disturbs little.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodegraph.journal import Journal
from nodegraph.plan import Plan, Source, Step, make_plan
from nodegraph.runner import Runner
from nodegraph.settings import Settings
from nodegraph.spec import InputSpec, NodeSpec, OutputSpec
from nodegraph.types import PortType

# Chains of no-op nodes in milliseconds of CPU, measured with the unmodified engines on another
# 2-core machine (ComfyUI 0.3.64, InvokeAI of 2026): literature here, not measured by this script.
OTHERS = {
    100: {"ComfyUI": 264.0, "InvokeAI": 69.0},
    900: {"ComfyUI": 25_500.0, "InvokeAI": 4_677.0},
}


def child_cpu(words: list[str], times: int = 5) -> float:
    """Return the least CPU time of a child process in milliseconds."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        user = after.ru_utime - before.ru_utime
        return 1000 * (user + after.ru_stime - before.ru_stime)

    return min(once() for _ in range(times))


def own_cpu(work: Callable[[], object], times: int = 5) -> float:
    """Return the least CPU time of a call in milliseconds."""

    def once() -> float:
        began = time.process_time()
        work()
        return 1000 * (time.process_time() - began)

    return min(once() for _ in range(times))


def add(a: int, b: int = 1) -> int:
    """Do next to nothing."""
    return a + b


ADD = NodeSpec(
    name="add",
    inputs={n: InputSpec(n, PortType("integer"), required=n == "a") for n in ("a", "b")},
    outputs={"output": OutputSpec("output", PortType("integer"))},
)


def chain(length: int) -> Plan:
    """A chain of nodes that add one."""
    steps = {"n0": Step("n0", "bench.add", ADD, lambda: add, {"a": 0})}
    for index in range(1, length):
        links: dict[str, Any] = {"a": Source(f"n{index - 1}")}
        steps[f"n{index}"] = Step(f"n{index}", "bench.add", ADD, lambda: add, {}, links)
    return make_plan(steps, {"sum": Source(f"n{length - 1}")})


def run_chain(length: int, folder: Path) -> None:
    """Plan and run a chain with its journal on disk."""
    with Journal(folder / "journal.jsonl") as journal:
        assert Runner(Settings(folder), [journal]).run(chain(length)) == {"sum": length}


def thirty_nodes(folder: Path) -> Path:
    """Write a flow of thirty picture nodes."""
    nodes: dict[str, Any] = {"n0": {"type": "image.load", "inputs": {"path": "flow.json"}}}
    for index in range(1, 30):
        before = f"n{index - 1}" if index > 1 else "n0.image"
        nodes[f"n{index}"] = {"type": "image.invert", "inputs": {"image": {"ref": before}}}
    flow = {"nodegraph": 1, "nodes": nodes, "outputs": {"image": {"ref": "n29"}}}
    path = folder / "flow.json"
    path.write_text(json.dumps(flow))
    return path


def line(name: str, value: float, unit: str, goal: float | None = None) -> None:
    """Print a figure and its goal."""
    aim = f"   goal {goal:g}, {'met' if value <= goal else 'MISSED'}" if goal else ""
    print(f"{name:<44}{value:10.1f} {unit}{aim}")


def starting(folder: Path) -> None:
    """Measure the command line in fresh processes."""
    command = [sys.executable, "-m", "nodegraph.cli"]
    flow = str(thirty_nodes(folder))
    bare = child_cpu([sys.executable, "-c", "pass"])
    line("python alone", bare, "ms CPU")
    line("nodegraph --help", child_cpu([*command, "--help"]), "ms CPU", 60)
    subprocess.run([*command, "check", flow], check=True, stdout=subprocess.DEVNULL)
    line(
        "nodegraph check, 30 nodes, manifest kept",
        child_cpu([*command, "check", flow]),
        "ms CPU",
        300,
    )


def over_torch() -> None:
    """Measure what a run adds to `import torch` before its first node: engine, check, packages."""
    flow = str(Path(__file__).parent.parent / "workflows" / "text_to_image.json")
    torch = child_cpu([sys.executable, "-c", "import torch"], 5)
    code = (
        "import torch\nfrom nodegraph.cli import commands\nfrom nodegraph.api import Session\n"
        f"from nodegraph.reading import load\nplan = Session(load({flow!r})).check().plan\n"
        "assert plan\nfor step in plan.steps: step.function()"
    )
    line("import torch", torch, "ms CPU")
    line(
        "start-up of text_to_image over import torch",
        child_cpu([sys.executable, "-c", code], 5) - torch,
        "ms CPU",
        150,
    )


def chains(folder: Path, lengths: list[int]) -> None:
    """Measure chains of no-op nodes: plan, run, events and journal; see whether time is linear."""
    whole: dict[int, float] = {}
    for length in lengths:
        taken = own_cpu(lambda length=length: run_chain(length, folder), 5 if length < 5000 else 3)  # type: ignore[misc]
        planned = own_cpu(lambda length=length: chain(length), 3)  # type: ignore[misc]
        each = 1000 * (taken - planned) / length
        whole[length] = taken / length
        line(f"chain of {length}: plan, run, events, journal", taken, "ms CPU")
        line("    run, events and journal, each node", each, "us CPU", 20)
        for name, theirs in OTHERS.get(length, {}).items():
            print(
                f"    {name} needs {theirs:g} ms (literature): {theirs / taken:.0f} times as much"
            )
    for length, ratio in growth(whole).items():
        line(f"each node of {length}, one of 1000 being 1", ratio, "times", 1.5)


def growth(each: dict[int, float]) -> dict[int, float]:
    """Return the cost of a node in longer chains as a ratio to that in a chain of 1,000."""
    base = each.get(1_000)
    return {n: cost / base for n, cost in each.items() if n > 1_000} if base else {}


def main() -> None:
    """Print all figures."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--torch", action="store_true", help="also the start-up over `import torch`")
    arguments = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starting(folder)
        if arguments.torch:
            over_torch()
        chains(folder, [100, 900, 1_000, 10_000, 100_000])


if __name__ == "__main__":
    main()
