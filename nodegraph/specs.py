"""The specifications of a flow's nodes: installed, mapped over lists, or of flows within."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from .packages import Packages
from .resolve import Fault
from .spec import InputSpec, NodeSpec
from .types import PortType
from .values import Misfit, conform, near
from .workflow import Declaration, Entry

UNKNOWN: Final = PortType("unknown")
"""Of what could not be found, which has been told."""


def installed_spec(entry: Entry, packages: Packages, fault: Fault) -> NodeSpec | None:
    """Return the specification of a node that is installed; of another, tell what is wrong.

    Raises:
        PackageError: its package is broken.
    """
    path = ("nodes", entry.id, "type")
    if entry.package not in packages.entries:
        known = packages.names
        help_ = near(entry.package, known) or f"; installed are {', '.join(known) or 'none'}"
        side = f"no package {entry.package!r} is installed for {entry.type!r}"
        fault("unknown_package", path, f"{entry.id}: {side}{help_}")
        return None
    manifest = packages.manifest(entry.package)
    if entry.function not in manifest.nodes:
        help_ = near(entry.function, manifest.nodes)
        help_ = help_ or f"; see 'nodegraph nodes {entry.package}'"
        side = f"package {entry.package!r} has no node {entry.function!r}"
        fault("unknown_node", path, f"{entry.id}: {side}{help_}")
        return None
    spec = manifest.spec(entry.function)
    if entry.version not in (None, spec.version):
        side = f"version {entry.version} of {entry.type!r} is not installed, {spec.version} is"
        fault("node_version", path, f"{entry.id}: {side}; read its page and change the number")
    return spec


def mapped_spec(spec: NodeSpec, ports: Iterable[str]) -> NodeSpec:
    """Return a specification that takes lists at some ports, and so gives lists."""
    inputs = dict(spec.inputs)
    for port in set(ports) & set(inputs):
        item = inputs[port].type
        inputs[port] = replace(inputs[port], type=PortType("list", item=item), required=True)
    outputs = {n: replace(o, type=PortType("list", item=o.type)) for n, o in spec.outputs.items()}
    return replace(spec, inputs=inputs, outputs=outputs)


def flow_input(declared: Declaration, type_: PortType) -> InputSpec:
    """Describe an input of a flow within.

    Where a node that is linked to it is skipped, a default takes its place if it is plain data.
    """
    plain = declared.default is not None and type_.kind not in ("port", "file", "unknown")
    try:
        default = conform(declared.default.value, type_) if plain and declared.default else None
    except Misfit:
        plain, default = False, None  # told where the flow's values are chosen
    return InputSpec(declared.name, type_, flows=True, required=not plain, default=default)
