"""Asks before a flow that came in a picture runs more than our own nodes."""

import sys
from dataclasses import replace

from nodegraph.errors import Problem, WorkflowError, one_line
from nodegraph.models import OURS, Models
from nodegraph.packages import Packages
from nodegraph.reach import Reach
from nodegraph.shelf import Shelf
from nodegraph.workflow import Workflow


def ask(flow: Workflow, packages: Packages, models: Models, reach: Reach) -> bool:
    """Show what a picture's flow would run, and ask, where that is more than our own nodes.

    Only names are compared: until there is a yes no other package is so much as imported.

    Returns:
        Whether there was a yes; nothing is asked of a flow of our own nodes.

    Raises:
        WorkflowError: the answer was no, or nobody is there to answer.
    """
    flows = dict(Shelf.around(flow, packages, models, reach).within(flow))
    used = {entry.package for each in flows.values() for entry in each.nodes.values()}
    foreign = sorted(name for name in used if _is_foreign(name, packages))
    if not foreign:
        return False
    said = f"the flow in this picture runs nodes of {', '.join(foreign)}, installed by others"
    for place, each in flows.items():
        for entry in each.nodes.values():
            what = entry.type if entry.package else "a flow within"
            print(one_line(f"  {place}{entry.id}: {what}"), file=sys.stderr)
    print(one_line(said), file=sys.stderr)
    if not _agreed():
        message = f"{said}; look at it, then run it with --trust"
        raise WorkflowError([Problem("not_trusted", "", message)])
    return True


def own(packages: Packages) -> Packages:
    """Return the packages that came with nodegraph: others are as if they were not installed."""
    entries = {n: sides for n, sides in packages.entries.items() if not _is_foreign(n, packages)}
    return replace(packages, entries=entries)


def _agreed() -> bool:
    try:
        return sys.stdin.isatty() and input("run it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def _is_foreign(name: str, packages: Packages) -> bool:
    return any(each.distribution != OURS for each in packages.entries.get(name, ()))
