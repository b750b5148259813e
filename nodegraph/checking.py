"""Compares a workflow with what is installed: every problem at once, or the plan of its run."""

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .checker import Checker
from .errors import Problem
from .models import Models
from .packages import Packages
from .plan import Plan
from .reach import Reach
from .shelf import Shelf
from .types import PortType
from .workflow import Literal, Workflow

MOST: Final = 200
"""Problems of a flow that are looked for; each may cost a search for near names."""


class _Enough(Exception):
    """There are so many problems that the rest is not looked for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found: problems, notes that stop nothing, the plan if there is no problem."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    plan: Plan | None = None
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    files: dict[str, Path] = field(default_factory=dict[str, Path])
    """Files that are read by `node.port` or `inputs.name`, in a flow within by `node/node.port`."""
    folders: dict[str, Path] = field(default_factory=dict[str, Path])
    """Folders that are read, likewise."""
    flows: dict[str, Workflow] = field(default_factory=dict[str, Workflow])
    """Flows within, by the nodes in whose place they stand, such as `prepare/inner`."""


def check_workflow(
    flow: Workflow,
    given: Mapping[str, Literal],
    packages: Packages,
    models: Models,
    reach: Reach | None = None,
    *,
    running: bool = False,
) -> Checked:
    """Find everything that is wrong with a workflow, without importing a node's code.

    Args:
        given: values of declared inputs.
        reach: where paths in it may lead; without it its own folder and the working directory.
        running: the values are complete: a declared input without one is a problem.
    """
    problems = list(flow.problems[:MOST])

    def fault(code: str, path: tuple[str | int, ...], message: str) -> None:
        if len(problems) >= MOST:
            raise _Enough
        problems.append(Problem.at(code, path, message))

    shelf = Shelf.around(flow, packages, models, reach)
    checker = Checker(flow, shelf, fault)
    with _no_collection():
        try:
            if len(flow.problems) > MOST:
                raise _Enough
            checker.look_up()
            checker.complete(given, running=running)
            checker.families({})
        except _Enough:
            said = f"there are more problems than {MOST}; mend these first"
            return Checked((*problems[:MOST], Problem("too_many", "", said)))
        return Checked(tuple(problems)) if problems else _result(checker)


def port_types(
    flow: Workflow, packages: Packages, models: Models, reach: Reach | None = None
) -> dict[str, PortType]:
    """Return the types of all inputs of a flow's nodes by `node.port`, as far as they are known."""
    shelf = Shelf.around(flow, packages, models, reach)
    checker = Checker(flow, shelf, lambda code, path, message: None)
    checker.look_up()
    return {
        f"{node}.{port}": known.type
        for node, spec in checker.specs.items()
        for port, known in spec.inputs.items()
    }


def model_inputs(
    flow: Workflow, packages: Packages, models: Models, reach: Reach | None = None
) -> set[str]:
    """Return the declared inputs that name models, whatever type they are declared as."""
    shelf = Shelf.around(flow, packages, models, reach)
    checker = Checker(flow, shelf, lambda code, path, message: None)
    checker.look_up()
    return checker.model_inputs()


@contextmanager
def _no_collection() -> Generator[None, None, None]:
    """Hold the collector of cycles, which would walk a large flow again and again for nothing."""
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


def _result(checker: Checker) -> Checked:
    inner = dict(checker.inner())
    files = {f"{path}/{k}": file for path, c in inner.items() for k, file in c.files.items()}
    folders = {f"{path}/{k}": each for path, c in inner.items() for k, each in c.folders.items()}
    return Checked(
        problems=(),
        notes=tuple(checker.notes()),
        plan=checker.plan(checker.ends),
        inputs=checker.resolver.shown(),
        files={**checker.files, **files},
        folders={**checker.folders, **folders},
        flows={path: each.flow for path, each in inner.items()},
    )
