"""Asks before a flow that came in a picture runs more than our own nodes."""

import sys

from nodegraph.errors import Problem, WorkflowError, one_line
from nodegraph.models import Models
from nodegraph.packages import Packages
from nodegraph.reach import Reach
from nodegraph.shelf import Shelf
from nodegraph.workflow import Workflow


def ask(flow: Workflow, packages: Packages, models: Models, reach: Reach) -> None:
    """Show what a picture's flow would run, and ask, where that is more than our own nodes.

    Only names are compared: until there is a yes no other package is so much as imported.

    Raises:
        WorkflowError: the answer was no, or nobody is there to answer.
    """
    flows = dict(Shelf.around(flow, packages, models, reach).within(flow))
    used = {entry.package for each in flows.values() for entry in each.nodes.values()}
    foreign = sorted(name for name in used if _is_foreign(name, packages))
    if not foreign:
        return
    said = f"the flow in this picture runs nodes of {', '.join(foreign)}, installed by others"
    for place, each in flows.items():
        for entry in each.nodes.values():
            what = entry.type if entry.package else "a flow within"
            print(one_line(f"  {place}{entry.id}: {what}"), file=sys.stderr)
    print(one_line(said), file=sys.stderr)
    if not sys.stdin.isatty() or input("run it? [y/N] ").strip().lower() not in ("y", "yes"):
        message = f"{said}; look at it, then run it with --trust"
        raise WorkflowError([Problem("not_trusted", "", message)])


def _is_foreign(name: str, packages: Packages) -> bool:
    return any(each.distribution != "nodegraph" for each in packages.entries.get(name, ()))
