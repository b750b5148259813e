"""The command that says before a run what it will need."""

import argparse
import json
from collections.abc import Iterator

from nodegraph.api import default_store
from nodegraph.errors import WorkflowError
from nodegraph.kept import Kept
from nodegraph.needs import Needs, free_memory, needs
from nodegraph.reuse import reuse
from nodegraph.settings import Settings
from nodegraph.store import GIB

from .given import out_folder, session

_MIB = 2**20


def plan(arguments: argparse.Namespace) -> int:
    """Say what a run will hold in memory, and whether it fits; 1 where it does not."""
    work = session(arguments)
    checked = work.check(running=True)
    if checked.plan is None:
        raise WorkflowError(checked.problems)
    folder = out_folder(arguments, work.flow)
    store = None if arguments.no_store else default_store()
    settings = Settings(folder, arguments.device, arguments.dtype, store=store)
    left = checked.plan
    if store is not None:
        left = reuse(left, work.keys(left, settings).of(left), Kept(store))
        work.digests.remember()
    where = settings.device, settings.dtype
    found = needs(left, checked.files, work.models, where, folder / "journal.jsonl")
    free = free_memory(settings.device)
    fits = free is None or found.bytes <= free
    if arguments.json:
        print(json.dumps(_as_json(found, free, fits)))
    else:
        print("\n".join(_told(found, free, arguments.device, fits)))
    return 0 if fits else 1


def _told(found: Needs, free: int | None, device: str, fits: bool) -> Iterator[str]:
    moment = found.fullest
    yield f"{found.steps} nodes run" + (
        f", {found.stored} of them read the store" * bool(found.stored)
    )
    for each in found.weights:
        stored = ", ".join(f"{size / _MIB:,.1f} MiB {name}" for name, size in each.stored.items())
        text = f"{stored or 'unknown'} in the file, {each.held / _MIB:,.1f} MiB loaded"
        yield f"weights  {each.node}: {each.file.name}, {text}"
    yield (
        f"fullest  while {moment.node} runs: weights {moment.weights / _MIB:,.1f} MiB, values "
        f"{moment.values / _MIB:,.1f} MiB, of {', '.join(moment.holding)}"
    )
    if moment.unknown:
        unknown = ", ".join(moment.unknown)
        yield f"unknown  the sizes of what {unknown} give; a first run measures them"
    if found.before:
        yield f"before   the last run's process held {found.before / _MIB:,.0f} MiB at most"
    else:
        yield "before   no run is known: what nodes need while they compute comes on top"
    if free is not None:
        needed, there = f"{found.bytes / GIB:,.2f} GiB", f"{free / GIB:,.2f} GiB"
        said = "fits" if fits else "does not fit"
        yield f"memory   {needed} are needed, {there} are free on {device}: {said}"


def _as_json(found: Needs, free: int | None, fits: bool) -> dict[str, object]:
    moment = found.fullest
    return {
        "nodes": found.steps,
        "stored": found.stored,
        "weights": [
            {"node": w.node, "file": str(w.file), "stored": dict(w.stored), "bytes": w.held}
            for w in found.weights
        ],
        "fullest": {
            "node": moment.node,
            "weights": moment.weights,
            "values": moment.values,
            "holding": moment.holding,
            "unknown": moment.unknown,
        },
        "before": found.before,
        "bytes": found.bytes,
        "free": free,
        "fits": fits,
    }
