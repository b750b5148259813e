"""Says why a result is not found in the store: which part of its key is new since the last run."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .jsontext import is_list, is_table
from .keys import FrameKeys
from .values import show
from .writing import write_whole

MOST: Final = 2000
"""Nodes of a flow up to which it is remembered what their keys were made of."""

Parts = dict[str, dict[str, Any]]
"""By node its key and what that was made of."""


def parts_of(keys: FrameKeys, prefix: str = "") -> Parts:
    """Return what the keys of a flow were made of, those of flows within too."""
    found: Parts = {}
    mapped = {step.id for step in keys.plan.steps if step.mapped}
    for step, key in keys.steps.items():
        name = f"{prefix}/{step}" if prefix and step else prefix or step
        found[name] = {"key": key, **keys.parts.get(step, {})}
        if step in keys.bodies:
            inner = f"{name}[]" if step in mapped else name
            found.update(parts_of(keys.bodies[step], inner))
    return found


def remember(folder: Path, flow: Path, keys: FrameKeys) -> None:
    """Keep what a run's keys were made of; a folder that cannot be written is only less helpful."""
    try:
        place = _place(folder, flow)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(parts_of(keys)).encode())
    except OSError:
        return


def remembered(folder: Path, flow: Path) -> Parts:
    """Return what the keys of the last run were made of; empty where nothing is known."""
    try:
        data = json.loads(_place(folder, flow).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if is_table(data) else {}


def _place(folder: Path, flow: Path) -> Path:
    name = hashlib.sha256(str(flow.resolve()).encode()).hexdigest()[:32]
    return folder / "last" / f"{name}.json"


def changes(name: str, now: Parts, before: Parts) -> list[str]:
    """Return a line for each part of a node's key that is new, back to where it comes from."""
    names = {each["key"]: node for node, each in now.items() if each["key"]}
    pending, seen, lines = [name], {name}, list[str]()
    while pending:
        node = pending.pop(0)
        old, new = before.get(node, {}), now[node]
        if not old:
            lines.append(f"{node}: is new in this flow")
            continue
        for path in sorted({*_flat(old), *_flat(new)} - {"key"}):
            was, is_ = _flat(old).get(path), _flat(new).get(path)
            if was == is_:
                continue
            source = _source(is_, names) if path.startswith("inputs.") or path == "when" else ""
            if not source or source in seen:
                said = f"its result is that of {source!r}" if source else _said(was, is_)
                lines += [] if source in seen else [f"{node}: {_named(path)} {said}"]
            elif source in before and before[source]["key"] == now[source]["key"]:
                lines.append(f"{node}: {_named(path)} comes from {source!r} now")
            else:
                seen.add(source)
                pending.append(source)
    return lines


def _flat(parts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return parts by their way, such as `inputs.steps` or `around.torch`."""
    found: dict[str, Any] = {}
    for key, value in parts.items():
        if not prefix and key in ("inputs", "around"):
            found.update(_flat(value, f"{key}."))
        elif prefix or key not in ("digest",):
            found[prefix + key] = value
    return found


def _source(token: Any, names: Mapping[str, str]) -> str:
    """Return the node that a link comes from, or the first one of a list of links."""
    if is_table(token) and is_list(token.get("l")):
        return next(filter(None, (_source(each, names) for each in token["l"])), "")
    key = str(token.get("k", "")).partition(".")[0] if is_table(token) else ""
    return names.get(key, "")


def _named(path: str) -> str:
    if path.startswith("inputs."):
        return f"input {path.removeprefix('inputs.')!r}"
    if path.startswith("around."):
        return path.removeprefix("around.")
    return {"where": "device or dtype", "sources": "the package's source"}.get(path, path)


def _said(was: Any, is_: Any) -> str:
    if is_table(was) and is_table(is_) and "f" in was and "f" in is_:
        return "is a file with other contents"
    plain = [_plain(each) for each in (was, is_)]
    if None in plain:
        return "has changed"
    return f"was {plain[0]}, is {plain[1]}"


def _plain(token: Any) -> str | None:
    """Return a plain value as JSON writes it, or None for a digest that says nothing to people."""
    if token is None:
        return "not given"
    if is_table(token):
        return show(token["v"]) if "v" in token else None
    if is_list(token) or (isinstance(token, str) and len(token) < 60):
        return show(token)
    return None


def volatile(name: str, keys: FrameKeys) -> Iterator[str]:
    """Yield the nodes because of which a result cannot be stored."""
    steps = {step.id: step for step in keys.plan.steps}
    pending, seen = [name], {name}
    while pending:
        step = steps.get(pending.pop())
        if step is None or keys.steps[step.id]:
            continue
        before = [s.step for s in step.sources if s.step in steps and not keys.steps[s.step]]
        if not before:
            yield step.id
        pending += [each for each in before if each not in seen]
        seen.update(before)
