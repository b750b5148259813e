"""Tells errors: one line each on stderr, or JSON on stdout, and the exit code that fits."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from signal import SIGINT
from typing import Any

from nodegraph.context import Cancelled
from nodegraph.errors import NodegraphError, PackageError, Problem, WorkflowError, reason


def tell(error: BaseException, words: Sequence[str], signals: Sequence[int]) -> int:
    """Tell an error the way the command line asked for; `signals` are what came before it."""
    with suppress(OSError):  # where stderr is full or closed, the exit code has to say it
        if "--traceback" in words:
            import traceback

            traceback.print_exception(error)
        if signals or isinstance(error, KeyboardInterrupt | Cancelled):
            print("interrupted", file=sys.stderr, flush=True)
        else:
            _tell_problems(_known(error), "--json" in words)
    if signals or isinstance(error, KeyboardInterrupt | Cancelled):
        return 128 + (signals[0] if signals else SIGINT)
    return 2 if isinstance(error, WorkflowError | PackageError) else 1


def as_json(problems: Sequence[Problem], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the answer of `check --json`."""
    listed = [{"code": p.code, "pointer": p.pointer, "message": p.message} for p in problems]
    return {"ok": not problems, "problems": listed, "notes": list(notes)}


def _known(error: BaseException) -> NodegraphError:
    if isinstance(error, NodegraphError):
        return error
    if isinstance(error, OSError):
        return NodegraphError(f"{error.filename or 'output'}: {error.strerror or error}")
    said = f"a fault of nodegraph: {reason(error)}; please report it with --traceback"
    return NodegraphError(said)


def _tell_problems(error: NodegraphError, in_json: bool) -> None:
    node = error.node.partition("/")[0].partition("[")[0]  # of a node in a group, the group
    pointer = f"/nodes/{node}" if node else ""
    alone = (Problem(error.code, pointer, str(error)),)
    problems = error.problems if isinstance(error, WorkflowError) else alone
    if in_json:
        print(json.dumps(as_json(problems)), flush=True)
    for problem in problems:
        print(f"nodegraph: {problem.message}", file=sys.stderr, flush=True)
