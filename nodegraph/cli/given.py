"""Turns words of the command line into a flow's values."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nodegraph.api import Session, with_settings
from nodegraph.checking import port_types
from nodegraph.errors import Problem, WorkflowError, one_line
from nodegraph.models import Models
from nodegraph.packages import Packages
from nodegraph.reading import load
from nodegraph.types import PortType
from nodegraph.values import article, expected, near
from nodegraph.workflow import Declaration, Literal, Workflow

from .arguments import BUILT_IN, Parser


def session(arguments: argparse.Namespace) -> Session:
    """Read the flow and everything that the command line gives to it.

    Raises:
        WorkflowError: the flow is not in form, or a word does not fit.
    """
    flow = _load(arguments.flow, arguments.rest)
    parser = Parser(prog=f"nodegraph run {arguments.flow}", add_help=False)
    add_inputs(parser, flow)
    flags, unknown = parser.parse_known_args(arguments.rest)
    if unknown:
        word = unknown[0].partition("=")[0]
        known = [*(f"--{name}" for name in flow.inputs), *arguments.known]
        help_ = near(word, known) or f"; see 'nodegraph run {arguments.flow} --help'"
        raise WorkflowError([Problem("bad_usage", "", f"unknown argument {word!r}{help_}")])
    here = Path.cwd()
    given = {
        name: Literal(from_text(text, flow.inputs[name].type), here)
        for name, text in vars(flags).items()
        if text is not None
    }
    for name, text in _pairs(arguments.input, "--input", "name=value"):
        type_ = flow.inputs[name].type if name in flow.inputs else PortType("string")
        given[name] = Literal(from_text(text, type_), here)
    packages = Packages.installed()
    pairs = list(_pairs(arguments.set, "--set", "node.port=value"))
    models = Models.searching(arguments.models)
    if pairs:
        types = port_types(flow, packages, models)
        plain = PortType("string")  # of what there is not: the check says so
        settings = {t: Literal(from_text(text, types.get(t, plain)), here) for t, text in pairs}
    else:
        settings = dict[str, Literal]()
    return Session(with_settings(flow, settings), given, packages, models)


def _load(path: str, rest: Sequence[str]) -> Workflow:
    """Read the flow; where a flag's value was taken for its file, say so."""
    if not Path(path).exists():
        files = [word for word in rest if not word.startswith("-") and Path(word).is_file()]
        if files:
            message = f"{path}: no such file; put the flow first: nodegraph run {files[0]} ..."
            raise WorkflowError([Problem("bad_usage", "", message)])
    return load(path)


def add_inputs(parser: Parser, flow: Workflow) -> None:
    """Add a flag for each declared input that is not named like another flag."""
    group = parser.add_argument_group("inputs of this flow")
    for name, declared in flow.inputs.items():
        if f"--{name}" not in BUILT_IN:
            group.add_argument(
                f"--{name}", metavar=_metavar(declared.type), help=describe(declared)
            )


def describe(declared: Declaration) -> str:
    """Say what a declared input is for, what it takes and what it is without being given."""
    type_ = declared.type
    takes = f"{article(type_.name)} file" if type_.kind == "port" else expected(type_)
    if declared.default is None:
        ending = "needed"
    else:
        ending = f"default: {json.dumps(declared.default.value, ensure_ascii=False)}"
    about = f"{declared.description}; " if declared.description else ""
    return one_line(f"{about}{takes} ({ending})").replace("%", "%%")


def from_text(text: str, type_: PortType) -> Any:
    """Read a value from a word: text stays text, everything else is written as in JSON."""
    if type_.kind in ("string", "file", "port"):
        return text
    if type_.kind == "choice" and text in type_.choices:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # the check says what would be right


def _metavar(type_: PortType) -> str:
    return {"port": "FILE", "file": "PATH", "string": "TEXT"}.get(type_.kind, type_.kind.upper())


def _pairs(words: Sequence[str], flag: str, form: str) -> Iterable[tuple[str, str]]:
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            message = f"{flag} {word!r}: has no '='; write {flag} {form}"
            raise WorkflowError([Problem("bad_usage", "", message)])
        yield name, text
