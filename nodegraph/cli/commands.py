"""What each command does: a thin call into the library, and its answer on stdout."""

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from nodegraph.api import default_store
from nodegraph.diagram import diagram, mermaid
from nodegraph.errors import PackageError, Problem, WorkflowError, one_line
from nodegraph.models import expanded
from nodegraph.packages import Packages
from nodegraph.page import node_page
from nodegraph.picture import is_picture
from nodegraph.reach import Reach
from nodegraph.settings import Settings
from nodegraph.spec import NodeSpec
from nodegraph.values import near

from .arguments import RUN, Parser, add_run_flags, parser
from .display import display
from .given import add_inputs, out_folder, read_flow, session
from .report import as_json
from .trusting import own


def run(arguments: argparse.Namespace) -> int:
    """Run a workflow and say where its outputs are; errors are the caller's to tell."""
    if arguments.help:
        return _help(arguments)
    if arguments.flow is None:
        parser().error("run: which workflow? give its file")
    arguments.swept = dict[str, Any]()
    work = session(arguments)
    if arguments.swept:
        from .batching import run_sweep

        return run_sweep(arguments, work)
    folder = out_folder(arguments, work.flow)
    store = None if arguments.no_store else default_store()
    where = (folder, arguments.device, arguments.dtype, arguments.stopped)
    settings = Settings(*where, store=store, checkpoint=arguments.checkpoint)
    show = display(arguments.json, arguments.quiet, sys.stdout)
    with show as hear, redirect_stdout(sys.stderr):  # what nodes print is no part of our answer
        work.run(settings, listeners=[hear])
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Check a workflow: every problem, one line each or as JSON; 0 when nothing is wrong."""
    notes: tuple[str, ...] = ()
    try:
        checked = session(arguments).check()
        problems, notes = checked.problems, checked.notes
    except WorkflowError as error:
        problems = error.problems
    if arguments.json:
        print(json.dumps(as_json(problems, notes)))
    else:
        for line in (*problems, *(f"note: {note}" for note in notes)):
            print(line, file=sys.stderr)
        count = len(problems)
        print(f"{arguments.flow}: {count or 'no'} problem{'' if count == 1 else 's'}")
    return 2 if problems else 0


def nodes(arguments: argparse.Namespace) -> int:
    """List nodes of all packages or of one, or show a node's page."""
    packages = Packages.installed()
    type_: str = arguments.type or ""
    name, _, function = type_.partition(".")
    specs = _specs(packages, [name] if type_ else list(packages.names))
    if function:
        specs = {type_: _one(specs, name, function)}
    if arguments.json:
        print(json.dumps({type_: spec.to_json() for type_, spec in specs.items()}, indent=2))
    elif function:
        print(node_page(type_, specs[type_]))
    else:
        width = max(map(len, specs), default=0)
        for each, spec in specs.items():
            print(f"{each:<{width}}  {spec.summary}")
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of workflow files with the nodes of all packages, or of some."""
    from nodegraph.schema import workflow_schema

    packages = Packages.installed()
    specs = _specs(packages, arguments.packages or list(packages.names))
    print(json.dumps(workflow_schema(specs), indent=2, ensure_ascii=False))
    return 0


def graph(arguments: argparse.Namespace) -> int:
    """Draw a workflow; its packages need not be installed, only then no types are known."""
    from nodegraph import drawing

    path = expanded(arguments.flow)
    packages, reach = Packages.installed(), None
    if is_picture(path):
        packages, reach = own(packages), Reach.of_picture(path, ())
    drawn = diagram(read_flow(path), packages, reach)
    if arguments.out is None:
        print(mermaid(drawn))
        return 0
    path = expanded(arguments.out)
    forms = {".svg": lambda: drawing.svg(drawn).encode(), ".png": lambda: drawing.png(drawn)}
    forms[".mmd"] = lambda: mermaid(drawn).encode() + b"\n"
    if path.suffix.lower() not in forms:
        known = ", ".join(forms)
        message = f"graph: {path.name!r} is no name of a drawing; end it with one of {known}"
        raise WorkflowError([Problem("bad_usage", "", message)])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(forms[path.suffix.lower()]())
    print(path)
    return 0


def _help(arguments: argparse.Namespace) -> int:
    """Print the flags of `run`, and of a flow its own inputs first."""
    flow: str | None = arguments.flow
    if flow is None:
        about = Parser(prog="nodegraph run", add_help=False, description=RUN)
    else:
        read = read_flow(Path(flow))
        usage = f"nodegraph run {flow} [flags]"
        title = one_line(read.title or read.name).replace("%(", "% (")  # argparse formats these
        about = Parser(usage=usage, add_help=False, description=title)
        add_inputs(about, read)
    add_run_flags(about)
    about.print_help()
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
