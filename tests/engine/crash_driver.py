"""Runs a flow many times in forked children, each struck at another place; see test_crashes.py.

    crash_driver.py FLOW FOLDER STEP

For every STEP-th change of a file that a quiet run makes, and each way to be struck there: a child
is struck, then another one runs the same command in peace. Prints what went wrong, as JSON lines.
"""

import ctypes
import json
import os
import shutil
import sys
import traceback
from importlib import import_module
from pathlib import Path

from nodegraph import reading
from nodegraph.api import Session
from nodegraph.errors import NodegraphError
from nodegraph.settings import Settings
from nodegraph.store import Store

FAULTS = ctypes.CDLL(None)
WAYS = {"fail": 1, "full": 2, "kill": 3}


def run(flow: Path, folder: Path, report: int) -> None:
    """Run a flow with outputs and store below a folder, and write how it ended."""
    store = Store(folder / "store", least=0)
    told: list[str] = []
    try:
        settings = Settings(folder / "out", store=store, checkpoint=1)
        Session(reading.load(flow)).run(
            settings, listeners=[lambda event: told.append(event["event"])]
        )
        said = "good"
    except NodegraphError as error:
        said = f"refused: {error}"
    except BaseException:  # noqa: BLE001 (told)
        said = f"traceback: {traceback.format_exc()}"
    count = FAULTS.faults_count()
    FAULTS.faults_arm(b"", 0, 0)
    os.write(report, json.dumps([said, count, told.count("finished")]).encode())


def child(flow: Path, folder: Path, way: int, at: int) -> tuple[str, int, int]:
    """Run in a child; "killed" where it did not come to its end."""
    ear, mouth = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            FAULTS.faults_arm(str(folder).encode(), way, at)
            run(flow, folder, mouth)
        finally:
            os._exit(0)
    os.close(mouth)
    with os.fdopen(ear, "rb") as file:
        answer = file.read()
    os.waitpid(pid, 0)
    said, count, ran = json.loads(answer) if answer else ("killed", 0, 0)
    return said, count, ran


def outputs(folder: Path) -> dict[str, bytes]:
    """Contents of all outputs, without the journal, which holds times."""
    found = {path.name: path for path in (folder / "out").iterdir()}
    found.pop("journal.jsonl")
    return {name: path.read_bytes() if path.is_file() else b"?" for name, path in found.items()}


def struck(flow: Path, place: Path, way: str, at: int, expected: dict[str, bytes]) -> list[str]:
    """Strike a run at one place, run it again, and return what is wrong."""
    said, _, _ = child(flow, place, WAYS[way], at)
    wrong = [said] if said.startswith("traceback") else []
    if said == "good" and outputs(place) != expected:
        wrong.append("a run that was struck says good and has other outputs")
    if way == "full":
        wrong += [f"left behind: {path}" for path in place.glob("out/.*")]
    again, _, _ = child(flow, place, 0, 0)
    if again != "good":
        wrong.append(f"the next run: {again}")
    elif outputs(place) != expected:
        wrong.append(f"the next run has other outputs: {sorted(outputs(place))}")
    wrong += [f"left behind for good: {path}" for path in place.glob("out/.*")]
    lines = (place / "out" / "journal.jsonl").read_bytes().splitlines()
    broken = sum(not _is_json(line) for line in lines)
    if broken > 1:
        wrong.append(f"{broken} broken lines in the journal")
    return wrong


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def main() -> None:
    """Strike every place in turn."""
    flow, folder, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    if "diffusion." in flow.read_text():
        import_module("nodegraph_diffusion")  # once for all children
    said, count, _ = child(flow, folder / "quiet", 0, 0)
    assert said == "good", said
    expected = outputs(folder / "quiet")
    for way in WAYS:
        for at in range(1, count + 1, step):
            place = folder / f"{way}-{at}"
            for line in struck(flow, place, way, at, expected):
                print(json.dumps({"way": way, "at": at, "wrong": line}))
            shutil.rmtree(place)
    print(json.dumps({"places": count}))


if __name__ == "__main__":
    main()
