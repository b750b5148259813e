"""The record that a picture carries: what has to be known to make it again, and no times."""

from collections.abc import Mapping
from typing import Any

from . import __version__
from .checking import Checked
from .digests import Digests
from .packages import Packages
from .workflow import Workflow


def make_record(
    flow: Workflow,
    checked: Checked,
    packages: Packages,
    settings: Mapping[str, Any],
    digests: Digests,
) -> dict[str, Any]:
    """Return the flow, its resolved inputs, versions of packages and digests of files."""
    flows = [flow, *checked.flows.values()]
    used = {entry.package for each in flows for entry in each.nodes.values() if entry.package}
    owners = sorted((packages.package(name) for name in used), key=lambda p: p.distribution)
    return {
        "nodegraph": __version__,
        "flow": _kept(flow.raw),
        **({"flows": {k: _kept(f.raw) for k, f in checked.flows.items()}} if checked.flows else {}),
        "inputs": checked.inputs,
        "settings": dict(settings),
        "packages": {owner.distribution: owner.version for owner in owners},
        "files": {k: digests.of(path) for k, path in sorted(checked.files.items())},
    }


def _kept(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flow without what never changes a result."""
    return {key: value for key, value in raw.items() if key != "ui"}
