"""The commands and their flags."""

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from nodegraph import __version__

_INTRO = """\
Run ControlNet pipelines from a JSON file.

  nodegraph run workflows/canny.json --prompt "a blue cube on a tiled floor" --seed 3
  nodegraph run workflows/canny.json --help          what this flow can be given
  nodegraph check workflows/canny.json               everything that is wrong with it, at once
  nodegraph nodes                                    every installed node
  nodegraph nodes image.canny                        one node's page
  nodegraph graph workflows/canny.json               the flow as a Mermaid diagram
"""
_CODES = "exit codes: 0 good, 1 a run failed, 2 the workflow or usage is wrong, 130 interrupted"
RUN = """\
Run a workflow and write its outputs as files.

  nodegraph run flow.json --prompt "a red sphere" --seed 7
  nodegraph run flow.json --set sample.steps=30 --set edges.low=50
  nodegraph run flow.json --out pictures --models ~/models --device cuda

The flow's declared inputs are flags of their own; one that is named like a flag below is given
with --input name=value. Paths on the command line start at the current folder.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; never guesses at shortened flags."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with 2."""
        self.exit(2, f"nodegraph: {message}; see '{self.prog} --help'\n")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; `command` of the result is the function that does it."""
    arguments, rest = parser().parse_known_args(words)
    arguments.rest = rest
    arguments.words = list(words)
    if rest and not getattr(arguments, "takes_inputs", False):
        parser().error(f"unknown argument {rest[0]!r}")
    return arguments


def parser() -> Parser:
    """Return the parser of all commands."""
    top = Parser(prog="nodegraph", description=_INTRO, epilog=_CODES)
    top.add_argument("--version", action="version", version=f"nodegraph {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = _command(commands, "run", "run a workflow", RUN, "run", add_help=False)
    add_run_flags(run)
    run.set_defaults(takes_inputs=True)
    check = _command(
        commands, "check", "say everything that is wrong with a workflow", None, "check"
    )
    check.add_argument("flow", metavar="FLOW", help="the workflow file")
    add_value_flags(check)
    check.add_argument("--json", action="store_true", help="answer as JSON on stdout")
    check.add_argument("--traceback", action="store_true", help="show where an error came from")
    check.set_defaults(takes_inputs=True)
    _show_commands(commands)
    return top


def add_run_flags(run: argparse.ArgumentParser) -> None:
    """Add the flags of `run` that every flow has."""
    run.add_argument("flow", metavar="FLOW", nargs="?", help="the workflow file")
    run.add_argument(
        "-h", "--help", action="store_true", help="this help; with FLOW also its inputs"
    )
    add_value_flags(run)
    run.add_argument("--out", metavar="DIR", help="where outputs go (default: out/<flow name>)")
    run.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    run.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="what models compute in (default: auto, what suits the device)",
    )
    run.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    run.add_argument("--quiet", action="store_true", help="say nothing but errors")
    run.add_argument("--traceback", action="store_true", help="show where an error came from")


def add_value_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags by which a flow is given values."""
    command.add_argument(
        "--set",
        metavar="NODE.PORT=VALUE",
        action="append",
        default=[],
        help="set a node's input, for this time; may be repeated",
    )
    command.add_argument(
        "--input",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="give a declared input, also one named like a flag; may be repeated",
    )
    command.add_argument(
        "--models",
        metavar="DIR",
        action="append",
        default=[],
        help="look for models here first, then in NODEGRAPH_MODELS; may be repeated",
    )


def _show_commands(commands: Any) -> None:
    nodes = _command(
        commands, "nodes", "list installed nodes, or show a node's page", None, "show", "nodes"
    )
    nodes.add_argument("type", metavar="TYPE", nargs="?", help="'image', or 'image.canny'")
    nodes.add_argument("--json", action="store_true", help="specifications as JSON")
    schema = _command(
        commands, "schema", "print the JSON Schema of workflow files", None, "show", "schema"
    )
    schema.add_argument("packages", metavar="PACKAGE", nargs="*", help="default: all installed")
    graph = _command(
        commands, "graph", "print a workflow as a Mermaid diagram", None, "show", "graph"
    )
    graph.add_argument("flow", metavar="FLOW", help="the workflow file")
    for command in (nodes, schema, graph):
        command.add_argument(
            "--traceback", action="store_true", help="show where an error came from"
        )


def _command(
    commands: Any,
    name: str,
    help_: str,
    about: str | None,
    module: str,
    function: str = "",
    **settings: Any,
) -> Parser:
    command: Parser = commands.add_parser(name, help=help_, description=about or help_, **settings)
    command.set_defaults(command=_later(module, function or name))
    return command


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """Import a command's module only when it is called: `--help` has to be quick."""

    def call(arguments: argparse.Namespace) -> int:
        command: Callable[[argparse.Namespace], int] = getattr(
            import_module(f"{__package__}.{module}"), function
        )
        return command(arguments)

    return call
