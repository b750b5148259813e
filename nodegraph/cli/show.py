"""`nodegraph nodes`, `schema` and `graph`: what is installed, and what a flow looks like."""

import argparse
import json
import sys

from nodegraph.diagram import mermaid
from nodegraph.errors import PackageError, Problem, WorkflowError
from nodegraph.packages import Packages
from nodegraph.page import node_page
from nodegraph.reading import load
from nodegraph.schema import workflow_schema
from nodegraph.spec import NodeSpec
from nodegraph.values import near


def nodes(arguments: argparse.Namespace) -> int:
    """List nodes of all packages or of one, or show a node's page."""
    packages = Packages.installed()
    name, _, function = (arguments.type or "").partition(".")
    chosen = [name] if name else list(packages.names)
    specs = _specs(packages, chosen)
    if function:
        specs = {f"{name}.{function}": _one(specs, name, function)}
    if arguments.json:
        print(json.dumps({type_: spec.to_json() for type_, spec in specs.items()}, indent=2))
    elif function:
        print(node_page(f"{name}.{function}", *specs.values()))
    else:
        width = max(map(len, specs), default=0)
        for type_, spec in specs.items():
            print(f"{type_:<{width}}  {spec.summary}")
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of workflow files with the nodes of all packages, or of some."""
    packages = Packages.installed()
    specs = _specs(packages, arguments.packages or list(packages.names))
    print(json.dumps(workflow_schema(specs), indent=2, ensure_ascii=False))
    return 0


def graph(arguments: argparse.Namespace) -> int:
    """Print a workflow as a Mermaid diagram; its packages need not be installed."""
    print(mermaid(load(arguments.flow)))
    return 0


def _specs(packages: Packages, names: list[str]) -> dict[str, NodeSpec]:
    """Return specifications by node type; with several packages a broken one is only told."""
    packages.read(names)
    specs: dict[str, NodeSpec] = {}
    for name in names:
        if name not in packages.entries:
            known = ", ".join(packages.names) or "none"
            help_ = near(name, packages.names) or f"; installed are {known}"
            raise WorkflowError([Problem("unknown_package", "", f"no package {name!r}{help_}")])
        try:
            manifest = packages.manifest(name)
        except PackageError as error:
            if len(names) == 1:
                raise
            print(f"nodegraph: {error}", file=sys.stderr)
            continue
        specs.update({f"{name}.{node}": manifest.spec(node) for node in manifest.nodes})
    return specs


def _one(specs: dict[str, NodeSpec], name: str, function: str) -> NodeSpec:
    try:
        return specs[f"{name}.{function}"]
    except KeyError:
        known = [type_.partition(".")[2] for type_ in specs]
        help_ = near(function, known) or f"; see 'nodegraph nodes {name}'"
        message = f"package {name!r} has no node {function!r}{help_}"
        raise WorkflowError([Problem("unknown_node", "", message)]) from None
