"""Turns words of the command line into a flow's values."""

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nodegraph.again import Again, again, flow_of
from nodegraph.api import Session, with_settings
from nodegraph.checking import port_types
from nodegraph.digests import Digests
from nodegraph.errors import Problem, WorkflowError, one_line
from nodegraph.models import Models, expanded
from nodegraph.packages import Packages
from nodegraph.picture import is_picture, read_record
from nodegraph.reach import Reach, allowed_folders
from nodegraph.reading import load
from nodegraph.sweeps import sweep
from nodegraph.types import PortType
from nodegraph.values import article, expected, from_text, near
from nodegraph.workflow import Declaration, Literal, Workflow

from .arguments import BUILT_IN, Parser
from .trusting import ask, own


def session(arguments: argparse.Namespace) -> Session:
    """Read the flow, or that of a picture, and everything that the command line gives to it.

    Raises:
        WorkflowError: the flow is not in form, or a word does not fit.
    """
    if is_picture(Path(arguments.flow)):
        return picture_session(arguments)[0]
    arguments.device, arguments.dtype = where(arguments)
    flow = _load(arguments.flow, arguments.rest)
    known = Packages.installed(), Models.searching(arguments.models)
    reach = Reach.of(flow, allowed_folders(arguments.allow))
    return _session(arguments, flow, {}, reach, known)


def picture_session(arguments: argparse.Namespace) -> tuple[Session, Again]:
    """Read the flow that a picture was made by; what the command line gives goes before.

    Raises:
        WorkflowError: the picture carries none, or it is a stranger's and was not agreed to.
    """
    picture = Path(arguments.flow)
    made = again(read_record(picture), picture, Digests.of_user())
    arguments.device, arguments.dtype = where(arguments, made.device, made.dtype)
    reach = Reach.of_picture(picture, made.found, allowed_folders(arguments.allow))
    packages, models = Packages.installed(), Models.searching(arguments.models)
    if not arguments.trust and not ask(made.flow, packages, models, reach):
        packages, models = own(packages), Models.searching(arguments.models, wary=True)
    return _session(arguments, made.flow, made.given, reach, (packages, models)), made


def where(arguments: argparse.Namespace, device: str = "cpu", dtype: str = "auto") -> Any:
    """Return device and dtype, as they are given or else told."""
    given = getattr(arguments, "device", None), getattr(arguments, "dtype", None)
    return given[0] or device, given[1] or dtype


def _session(
    arguments: argparse.Namespace,
    flow: Workflow,
    before: Mapping[str, Literal],
    reach: Reach,
    known: tuple[Packages, Models],
) -> Session:
    parser = Parser(prog=f"nodegraph run {arguments.flow}", add_help=False)
    add_inputs(parser, flow)
    flags, unknown = parser.parse_known_args(arguments.rest)
    if unknown:
        word = unknown[0].partition("=")[0]
        words = [*(f"--{name}" for name in flow.inputs), *arguments.known]
        help_ = near(word, words) or f"; see 'nodegraph run {arguments.flow} --help'"
        if not word.startswith("-") and getattr(arguments, "node", "") is None:
            help_ = "; a node's name goes before all flags"
        raise WorkflowError([Problem("bad_usage", "", f"unknown argument {word!r}{help_}")])
    here = Path.cwd()
    given = dict(before)
    swept: dict[str, Sequence[Any]] | None = arguments.swept
    flagged = [(name, text) for name, text in vars(flags).items() if text is not None]
    for name, text in (*flagged, *_pairs(arguments.input, "--input", "name=value")):
        type_ = flow.inputs[name].type if name in flow.inputs else PortType("string")
        values = () if swept is None else sweep(name, text, type_)
        if swept is not None and values:
            given.pop(name, None)
            swept[name] = values
        else:
            given[name] = Literal(from_text(text, type_), here)
            (swept or {}).pop(name, None)
    packages, models = known
    pairs = list(_pairs(arguments.set, "--set", "node.port=value"))
    if pairs:
        types = port_types(flow, packages, models, reach)
        plain = PortType("string")  # of what there is not: the check says so
        settings = {t: Literal(from_text(text, types.get(t, plain)), here) for t, text in pairs}
    else:
        settings = dict[str, Literal]()
    return Session(with_settings(flow, settings), given, packages, models, reach=reach)


def read_flow(path: Path) -> Workflow:
    """Read a flow to show it: from a workflow file or a picture."""
    return flow_of(read_record(path), path) if is_picture(path) else load(path)


def _load(path: str, rest: Sequence[str]) -> Workflow:
    """Read the flow; where a flag's value was taken for its file, say so."""
    if not os.path.exists(path):  # noqa: PTH110 (False also of what is too long for a name)
        words = [word for word in rest if not word.startswith("-")]
        files = [word for word in words if os.path.isfile(word)]  # noqa: PTH113
        if files:
            message = f"{path}: no such file; put the flow first: nodegraph run {files[0]} ..."
            raise WorkflowError([Problem("bad_usage", "", message)])
    return load(path)


def out_folder(arguments: argparse.Namespace, flow: Workflow) -> Path:
    """Return where outputs go.

    Raises:
        WorkflowError: that was not said, and a symbolic link leads away from the current folder.
    """
    if arguments.out:
        return expanded(arguments.out)
    folder = Path("out", flow.name)
    real = Path(os.path.realpath(folder))
    if not real.is_relative_to(os.path.realpath(Path.cwd())):
        message = f"{folder}: a link leads to {real}; say --out {folder} if that is meant"
        raise WorkflowError([Problem("outside", "", message)])
    return folder


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


def _metavar(type_: PortType) -> str:
    return {"port": "FILE", "file": "PATH", "string": "TEXT"}.get(type_.kind, type_.kind.upper())


def _pairs(words: Sequence[str], flag: str, form: str) -> Iterable[tuple[str, str]]:
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            message = f"{flag} {word!r}: has no '='; write {flag} {form}"
            raise WorkflowError([Problem("bad_usage", "", message)])
        yield name, text
