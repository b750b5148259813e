"""`nodegraph check`: every problem of a workflow, one line each or as JSON."""

import argparse
import json
import sys

from nodegraph.errors import WorkflowError

from .given import session
from .report import as_json


def check(arguments: argparse.Namespace) -> int:
    """Check a workflow; 0 when nothing is wrong, else 2."""
    notes: tuple[str, ...] = ()
    try:
        checked = session(arguments).check()
        problems, notes = checked.problems, checked.notes
    except WorkflowError as error:
        problems = error.problems
    if arguments.json:
        print(json.dumps(as_json(problems, notes)))
        return 2 if problems else 0
    for problem in problems:
        print(f"{problem.message}", file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{arguments.flow}: {_count(len(problems))}")
    return 2 if problems else 0


def _count(problems: int) -> str:
    return f"{problems or 'no'} problem{'' if problems == 1 else 's'}"
