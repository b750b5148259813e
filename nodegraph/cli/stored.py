"""The commands about stored results: what is there, and why something is not."""

import argparse
import json
import sys
import time
from typing import Final

from nodegraph.api import Session, default_store
from nodegraph.errors import NodegraphError, Problem, WorkflowError
from nodegraph.keys import FrameKeys
from nodegraph.settings import Settings
from nodegraph.store import GIB, Store
from nodegraph.values import near
from nodegraph.why import changes, parts_of, remembered, volatile

from .given import session

_ITEM: Final = "[]/"
"""In the names of nodes within a flow that is mapped over a list."""


def cache(arguments: argparse.Namespace) -> int:
    """Say what is stored, list it, check it or remove it."""
    store = _store()
    if arguments.action == "clear":
        print(f"{store.clear()} results removed from {store.folder}")
        return 0
    entries = store.entries()
    if arguments.action == "list":
        for entry in entries:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
            print(f"{used}  {entry.bytes:>12,}  {entry.type}  {entry.key[:12]}")
        return 0
    if arguments.action == "verify":
        return _verify(store)
    size, limit = sum(entry.bytes for entry in entries) / GIB, store.limit / GIB
    if arguments.json:
        told = {"folder": str(store.folder), "entries": len(entries)}
        print(json.dumps({**told, "bytes": round(size * GIB), "limit": store.limit}))
    else:
        print(f"{store.folder}: {len(entries)} results, {size:.3f} of {limit:g} GiB")
    return 0


def _verify(store: Store) -> int:
    """Compare every entry with its digests; what is damaged is removed."""
    entries, damaged = store.entries(), 0
    for number, entry in enumerate(entries, 1):
        fault = store.verify(entry.key)
        if fault:
            damaged += 1
            store.drop(entry.key)
            print(f"{entry.type} {entry.key[:12]}: {fault}; removed", file=sys.stderr)
        if sys.stderr.isatty():
            print(f"\r{number}/{len(entries)}", end="", file=sys.stderr, flush=True)
    print(f"{len(entries) - damaged} results are as they were written, {damaged} were damaged")
    return 1 if damaged else 0


def why(arguments: argparse.Namespace) -> int:
    """Say whether a node's result is stored, and which part of its key is new if it is not."""
    work = session(arguments)
    store = _store()
    keys = _keys(work, store, arguments)
    now = parts_of(keys)
    if arguments.node is None:
        for each, made in now.items():
            print(f"{each}: {_state(each, keys, made['key'], store)}")
        return 0
    name: str = arguments.node
    if name not in now:
        known = f"; nodes that run are {', '.join(now)}"
        said = f"{name}: no such node, or no output needs it{near(name, now) or known}"
        raise WorkflowError([Problem("unknown_node", "/nodes", said)])
    key = now[name]["key"]
    print(f"{name}: {_state(name, keys, key, store)}")
    if not key or store.has(key):
        return 0
    before = remembered(store.folder, work.flow.file) if work.flow.file else {}
    if not before:
        print("no run of this flow is remembered")
    elif before.get(name, {}).get("key") == key and _ITEM in name:
        print("nothing is new since the last run; its results are looked for item by item")
    elif before.get(name, {}).get("key") == key:
        print("nothing is new since the last run: it was too quick to be worth storing, has no")
        print("form on disk, such as a model, did not come to its end, or had to leave the store")
    else:
        print("\n".join(changes(name, now, before)))
    return 0


def _keys(work: Session, store: Store, arguments: argparse.Namespace) -> FrameKeys:
    checked = work.check(running=True)
    if checked.plan is None:
        raise WorkflowError(checked.problems)
    settings = Settings(store.folder, arguments.device, arguments.dtype, store=store)
    found = work.keys(checked.plan, settings).of(checked.plan)
    work.digests.remember()
    return found


def _state(name: str, keys: FrameKeys, key: str, store: Store) -> str:
    outer, each, _ = name.partition(_ITEM)
    if each and key:
        whole = keys.steps.get(outer, "")
        return f"stored as a part of {outer!r}" if store.has(whole) else "looked for item by item"
    if key:
        return "stored" if store.has(key) else "not stored"
    causes = [each for each in volatile(name, keys) if each != name]
    if causes:
        return f"never stored, since it depends on {', '.join(causes)}"
    return "a flow within" if name in keys.bodies else "never stored: it runs each time"


def _store() -> Store:
    store = default_store()
    if store is None:
        raise NodegraphError("the store is turned off by NODEGRAPH_STORE; unset it")
    return store
