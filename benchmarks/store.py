"""What the store gives and costs; `python benchmarks/store.py`.

1. The demo flow, run anew and found whole, each in a process of its own.
2. A chain of nodes that do next to nothing, with keys and without.
3. Ten changes to `multi_controlnet.json`, as somebody makes them who looks for a picture, with the
   store and without, change by change in turn; in one process, so that imports count for neither.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nodegraph
from benchmarks.engine import chain, own_cpu
from nodegraph.digests import Digests
from nodegraph.environment import surroundings
from nodegraph.keys import Keys
from nodegraph.packages import Packages
from nodegraph.plan import Plan
from nodegraph.runner import Runner
from nodegraph.settings import Settings
from nodegraph.store import Store

FLOWS = Path(__file__).parents[1] / "workflows"
CHANGES: list[dict[str, Any]] = [
    {},
    {"settings": {"sample.steps": 25}},
    {"settings": {"sample.steps": 25}, "prompt": "a blue cube right of a red cone, at night"},
    {"settings": {"sample.steps": 25}, "prompt": "a blue cube right of a red cone, at noon"},
    {"edge_strength": 0.5},
    {"edge_strength": 0.5, "settings": {"guided.start": 0.0}},
    {"edge_strength": 0.5, "settings": {"edges.low": 60}},
    {"seed": 8},
    {"seed": 8, "settings": {"sample.cfg": 3.0}},
    {},
]
PROOF = """
import sys
from nodegraph.cli import main
code = main(sys.argv[1:])
print("torch" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


def process(folder: Path) -> tuple[float, float, str]:
    """Run the demo flow in a process: seconds of wall and CPU, and whether torch was imported."""
    words = [sys.executable, "-c", PROOF, "run", str(FLOWS / "canny.json"), "--quiet"]
    env = {**os.environ, "NODEGRAPH_STORE": str(folder / "store")}
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        [*words, "--out", str(folder / "out")], env=env, capture_output=True, text=True, check=True
    )
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system
    return wall, cpu - before.children_user - before.children_system, done.stderr.split()[-1]


def demo(folder: Path) -> None:
    """Print the figures of the demo flow."""
    anew = process(folder)
    found = min(process(folder) for _ in range(3))
    print("workflows/canny.json           wall      CPU   torch imported")
    for name, (wall, cpu, torch) in (("run anew", anew), ("found whole", found)):
        print(f"    {name:<20} {wall:8.2f} s {cpu:6.2f} s   {torch}")
    print(f"    found / anew         {found[0] / anew[0]:8.2f}   {found[1] / anew[1]:6.2f}")


class ToyKeys(Keys):
    """Keys of nodes that belong to no package."""

    def _side(self, step: Any) -> dict[str, Any]:
        return {"digest": "toys"}


def run_once(plan: Plan, settings: Settings, keys: Keys | None) -> None:
    """Run a plan."""
    Runner(settings, (), keys).run(plan)


def each_node(folder: Path) -> None:
    """Print what a key costs in a chain."""
    for length in (1000, 10_000):
        plan = chain(length)
        keys = ToyKeys(Packages.installed(), Digests(folder / "none"), "cpu", "auto")
        alone = own_cpu(partial(run_once, plan, Settings(folder), None))
        settings = Settings(folder, store=Store(folder / "toys"))
        keyed = own_cpu(partial(run_once, plan, settings, keys))
        print(f"chain of {length}: each node {1000 * alone / length:.1f} us of CPU, ", end="")
        print(f"with its key looked up {1000 * keyed / length:.1f} us")
    store = Store(folder / "values", least=0)
    value = {"output": list(range(100))}
    names = [f"{number:064x}" for number in range(200)]
    put = own_cpu(lambda: [store.put(name, "toys.x", value) for name in names], 1) / 200
    got = own_cpu(lambda: [store.get(name) for name in names]) / 200
    print(f"a result of 100 numbers: stored in {1000 * put:.0f} us, found in {1000 * got:.0f} us")


def session(folder: Path) -> Iterator[tuple[float, float, int, int]]:
    """Run each change with the store and without: seconds of both, nodes found and nodes run."""
    os.environ["NODEGRAPH_STORE"] = str(folder / "session")
    flow = FLOWS / "multi_controlnet.json"
    nodegraph.run(flow, store=False)  # imports, and the caches of the libraries
    for change in CHANGES:
        events: list[dict[str, Any]] = []
        seconds: list[float] = []
        for store in (True, False):
            began = time.perf_counter()
            nodegraph.run(flow, store=store, on_event=events.append if store else None, **change)
            seconds.append(time.perf_counter() - began)
        told = [event["event"] for event in events]
        yield seconds[0], seconds[1], told.count("cached"), told.count("finished")


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(json.dumps({k: v for k, v in surroundings().items() if k != "processor"}))
        demo(folder)
        each_node(folder)
        print("ten changes to workflows/multi_controlnet.json: stored, anew, found, run")
        rows = list(session(folder))
        for change, (stored, anew, found, ran) in zip(CHANGES, rows, strict=True):
            print(f"    {stored:6.2f} s {anew:6.2f} s {found:3} {ran:3}   {json.dumps(change)}")
        stored, anew = (sum(row[i] for row in rows) for i in (0, 1))
        print(f"    {stored:6.2f} s {anew:6.2f} s   stored / anew: {stored / anew:.2f}")


if __name__ == "__main__":
    main()
