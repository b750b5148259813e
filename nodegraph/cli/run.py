"""`nodegraph run`: runs a workflow and says where its outputs are."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from nodegraph.reading import load
from nodegraph.runner import Settings

from .arguments import Parser, add_run_flags, parser
from .display import display
from .given import input_parser, session


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
    about = Parser(prog="nodegraph run", add_help=False, description=_about(flow))
    if flow is not None:
        for action in input_parser(load(flow))._actions:
            about._add_action(action)
    add_run_flags(about)
    about.print_help()
    return 0


def _about(flow: str | None) -> str | None:
    if flow is None:
        return "Run a workflow and write its outputs as files."
    read = load(flow)
    return read.title or read.name
