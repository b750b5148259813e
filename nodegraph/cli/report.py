"""Tells errors: one line each on stderr, or JSON on stdout, and the exit code that fits."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from nodegraph.context import Cancelled
from nodegraph.errors import NodegraphError, PackageError, Problem, WorkflowError


def tell(error: BaseException, words: Sequence[str]) -> int:
    """Tell an error the way the command line asked for."""
    if "--traceback" in words:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, Cancelled):
        return 130
    if isinstance(error, OSError):
        error = NodegraphError(f"{error.filename or 'output'}: {error.strerror or error}")
    elif not isinstance(error, NodegraphError):
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        error = NodegraphError(f"a fault of nodegraph: {said}; please report it with --traceback")
    if "--json" in words:
        print(json.dumps(as_json(problems_of(error))), flush=True)
    for problem in problems_of(error):
        print(f"nodegraph: {problem.message}", file=sys.stderr)
    return 2 if isinstance(error, WorkflowError | PackageError) else 1


def problems_of(error: NodegraphError) -> tuple[Problem, ...]:
    """Return what an error is about as problems."""
    if isinstance(error, WorkflowError):
        return error.problems
    pointer = f"/nodes/{error.node}" if error.node else ""
    return (Problem(error.code, pointer, str(error)),)


def as_json(problems: Sequence[Problem], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the answer of `check --json`."""
    listed = [{"code": p.code, "pointer": p.pointer, "message": p.message} for p in problems]
    return {"ok": not problems, "problems": listed, "notes": list(notes)}
