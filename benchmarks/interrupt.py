"""How long Ctrl-C takes in a run of full size: float32, 512 x 512, one ControlNet.

    python -m benchmarks.interrupt [--times 5]

Files of Stable Diffusion 1.5's size with random weights are written first (5 GB). Each run is
interrupted some random time after a node of it began; what is printed is how long the process then
took to end, with what code.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.sd15_files import write_files

FLOW = str(Path(__file__).parents[1] / "workflows" / "sd15_canny.json")
WITHIN: Mapping[str, float] = {"model": 4, "canny": 2, "positive": 1, "sample": 20, "image": 8}
"""Nodes that take long, and within which seconds after their start the signal is sent."""


def interrupted(models: Path, node: str, wait: float, out: Path) -> tuple[float, int, str]:
    """Run, interrupt `wait` seconds after `node` began; return seconds, code and the last line."""
    command = [sys.executable, "-m", "nodegraph.cli", "run", FLOW]
    command += ["--checkpoint", str(models / "model"), "--controlnet", str(models / "control_0")]
    command += ["--out", str(out), "--dtype", "float32", "--steps", "1", "--no-store", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            event = json.loads(line)
            if event.get("event") == "started" and event.get("node") == node:
                break
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        began = time.perf_counter()
        process.stdout.read()
        said = process.stderr.read().strip().splitlines()
        code = process.wait()
        return time.perf_counter() - began, code, said[-1] if said else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="interruptions of each node")
    arguments = parser.parse_args()
    dice = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="nodegraph-") as scratch:
        folder = Path(scratch)
        models = write_files(folder, small=False)
        worst = 0.0
        for node, longest in WITHIN.items():
            for _ in range(arguments.times):
                wait = dice.uniform(0, longest)
                seconds, code, said = interrupted(models, node, wait, folder / "out")
                print(f"{node:<9} after {wait:5.1f} s: {seconds:.2f} s, code {code}  {said}")
                if code == 130:  # not where the run was over before
                    worst = max(worst, seconds)
        print(f"the longest of all: {worst:.2f} s")


if __name__ == "__main__":
    main()
