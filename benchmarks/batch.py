"""What a batch costs: a warm request over its bare sampling, and a cluster over one process.

    python -m benchmarks.batch [--requests 20] [--rows 60]

The first part asks a worker on standard input; how long sampling took is in each row's journal.
The second runs the same rows here, on one and on two Ray workers, each with one thread; the clock
starts when every worker has answered once, so that starting and loading are left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

FLOW = str(Path(__file__).parents[1] / "workflows" / "canny.json")


def request(folder: Path, count: int) -> None:
    """Print what a request takes over the seconds of its sampling."""
    command = [sys.executable, "-m", "nodegraph.cli", "batch", FLOW, "--data", "-", "--out"]
    environment = {**os.environ, "NODEGRAPH_STORE": str(folder / "store")}
    taken: list[float] = []
    over: list[float] = []
    with subprocess.Popen(
        [*command, str(folder)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for seed in range(count + 2):
            began = perf_counter()
            worker.stdin.write(json.dumps({"seed": seed}) + "\n")
            worker.stdin.flush()
            answer = json.loads(worker.stdout.readline())
            seconds = perf_counter() - began
            journal = folder / answer["id"] / "journal.jsonl"
            events = [json.loads(line) for line in journal.read_text().splitlines()]
            ended = [e for e in events if e["event"] == "finished" and e["node"] == "sample"]
            if seed >= 2:  # the first ones load
                taken.append(seconds)
                over.append(seconds - ended[0]["seconds"])
        worker.stdin.close()
    print(f"a warm request, median of {count}: {median(taken):.3f} s")
    print(f"  over its sampling: {median(over) * 1000:.0f} ms, {median(over) / median(taken):.3f}")


def rows(folder: Path, count: int, workers: int) -> tuple[float, float]:
    """Return rows a second, and seconds of a row that its run does not account for."""
    import nodegraph
    from nodegraph.ledger import Answer

    times: list[float] = []
    inner: list[float] = []
    warm = 2 * max(1, workers)

    def hear(answer: Answer, _: bool) -> None:
        times.append(perf_counter())
        inner.append(answer.seconds)

    given = [{"seed": seed} for seed in range(count + warm)]
    settings = {"sample.steps": 8}
    on = "ray" if workers else ""
    out = folder / f"rows{workers}"
    nodegraph.batch(
        FLOW, given, out=out, settings=settings, on=on, workers=workers or None, store=False,
        on_answer=hear,
    )  # fmt: skip
    span = times[-1] - times[warm - 1]
    each = span / count
    return 1 / each, max(1, workers) * each - sum(inner[warm:]) / count


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--rows", type=int, default=60)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; workers get it, too
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request(folder / "served", arguments.requests)
        rates = {}
        for workers in (0, 1, 2):
            rates[workers], over = rows(folder, arguments.rows, workers)
            where = f"{workers} on Ray" if workers else "this process"
            print(
                f"{where}: {rates[workers]:.2f} rows/s, {over * 1000:.0f} ms a row beside its run"
            )
        print(f"2 workers against 1: {rates[2] / rates[1]:.2f}, {rates[2] / rates[1] / 2:.2f} each")
        print(f"1 worker against this process: {rates[1] / rates[0]:.2f}")


if __name__ == "__main__":
    main()
