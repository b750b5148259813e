"""`nodegraph run`: runs a workflow and says where its outputs are."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from nodegraph.reading import load
from nodegraph.runner import Settings

from .arguments import RUN, Parser, add_run_flags, parser
from .display import display
from .given import add_inputs, session


def run(arguments: argparse.Namespace) -> int:
    """Run a workflow; errors are the caller's to tell."""
    if arguments.help:
        return _help(arguments.flow)
    if arguments.flow is None:
        parser().error("run: which workflow? give its file")
    work = session(arguments)
    folder = Path(arguments.out) if arguments.out else Path("out", work.flow.name)
    settings = Settings(folder, arguments.device, arguments.dtype)
    show = display(arguments.json, arguments.quiet, sys.stdout)
    with show as hear, redirect_stdout(sys.stderr):  # what nodes print is no part of our answer
        work.run(settings, listeners=[hear])
    return 0


def _help(flow: str | None) -> int:
    """Print the flags of `run`, and of a flow its own inputs first."""
    if flow is None:
        about = Parser(prog="nodegraph run", add_help=False, description=RUN)
    else:
        read = load(flow)
        usage = f"nodegraph run {flow} [flags]"
        about = Parser(usage=usage, add_help=False, description=read.title or read.name)
        add_inputs(about, read)
    add_run_flags(about)
    about.print_help()
    return 0
