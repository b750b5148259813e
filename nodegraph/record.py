"""The record that a picture carries: what has to be known to make it again, and no times."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from . import __version__
from .checking import Checked
from .digests import Digests
from .environment import accelerators, surroundings, versions
from .package import Package
from .packages import Packages
from .plan import Plan
from .workflow import Workflow


def make_record(
    flow: Workflow,
    checked: Checked,
    packages: Packages,
    settings: Mapping[str, Any],
    digests: Digests,
) -> dict[str, Any]:
    """Return the flow, its resolved inputs, versions of packages and digests of files."""
    owners = owners_of(flow, checked, packages)
    return {
        "nodegraph": __version__,
        "flow": _kept(flow.raw),
        **_flows(checked),
        "inputs": checked.inputs,
        "settings": dict(settings),
        "environment": environment(owners, packages, str(settings["device"])),
        "packages": {owner.distribution: owner.version for owner in owners},
        "files": {k: digests.of(path) for k, path in sorted(checked.files.items())},
    }


def owners_of(flow: Workflow, checked: Checked, packages: Packages) -> list[Package]:
    """Return the packages whose nodes a flow runs, those of flows within too."""
    flows = [flow, *checked.flows.values()]
    used = {entry.package for each in flows for entry in each.nodes.values() if entry.package}
    owners = (packages.package(name) for name in used)
    return sorted(owners, key=lambda owner: (owner.distribution, owner.name))


def environment(owners: Sequence[Package], packages: Packages, device: str) -> dict[str, str]:
    """Return what else may change bits: libraries, processor, threads."""
    named = {lib for owner in owners for lib in packages.manifest(owner.name).data["libraries"]}
    return {**versions(tuple(sorted(named))), **surroundings(), **accelerators(device)}


MOST: Final = 16 * 2**20
"""Bytes of the flows that a record carries; a larger text is more than readers of PNG take."""


def _kept(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flow without what never changes a result, or its digest if it is huge."""
    kept = _without_ui(raw)
    kept["nodes"] = {name: _without_ui(node) for name, node in raw["nodes"].items()}
    text = json.dumps(kept)
    if len(text) <= MOST:
        return kept
    return {"omitted": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _without_ui(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "ui"}


def _flows(checked: Checked) -> dict[str, Any]:
    """Return the flows within that run: each once, by its digest, and where it stands."""
    assert checked.plan is not None
    texts: dict[str, Any] = {}
    places: dict[str, str] = {}
    for path in _within(checked.plan):
        if path in checked.flows:
            kept = _kept(checked.flows[path].raw)
            digest = hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16]
            texts[digest], places[path] = kept, digest
    if sum(len(json.dumps(text)) for text in texts.values()) > MOST:
        texts = {digest: {"omitted": len(json.dumps(text))} for digest, text in texts.items()}
    return {"flows": {"texts": texts, "places": places}} if places else {}


def _within(plan: Plan, prefix: str = "") -> Iterator[str]:
    """Yield the nodes in whose place flows stand, by their way."""
    for step in plan.steps:
        if step.body is not None:
            yield prefix + step.id
            yield from _within(step.body, f"{prefix}{step.id}/")
