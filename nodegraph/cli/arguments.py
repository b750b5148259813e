"""The commands and their flags."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

from nodegraph import __version__

from . import Leave

_INTRO = """\
Run ControlNet pipelines from a JSON file.

  nodegraph run workflows/canny.json --prompt "a blue cube on a tiled floor" --seed 3
  nodegraph run workflows/canny.json --help          what this flow can be given
  nodegraph run workflows/canny.json --seed 1..8     eight of them, and a contact sheet
  nodegraph batch flow.json --data rows.csv          a run for each row of a file
  nodegraph check workflows/canny.json               everything that is wrong with it, at once
  nodegraph nodes                                    every installed node
  nodegraph nodes image.canny                        one node's page
  nodegraph new-package sharpen                      a package of your own, to start from
  nodegraph doctor                                   what is wrong with this installation
  nodegraph graph workflows/canny.json --out a.svg   the flow as a drawing
  nodegraph why workflows/canny.json sample          why a node runs again
  nodegraph plan workflows/canny.json                what a run will hold in memory
"""
_CODES = "exit codes: 0 good, 1 a run failed, 2 the workflow or usage is wrong, 130 interrupted"
RUN = """\
Run a workflow and write its outputs as files.

  nodegraph run flow.json --prompt "a red sphere" --seed 7
  nodegraph run flow.json --set sample.steps=30 --set edges.low=50
  nodegraph run flow.json --out pictures --models ~/models --device cuda
  nodegraph run picture.png --seed 8     the flow that a picture carries, once more
  nodegraph run flow.json --seed 1..8 --strength 0.4,0.8
                                         each combination, a contact sheet and a table

Only numbers sweep: a..b with both ends, a..b..step, or a list with commas.

The flow's declared inputs are flags of their own; one that is named like a flag below is given
with --input name=value. Paths on the command line start at the current folder.
"""
BATCH = """\
Run a workflow once for each row of a file. Models are loaded once; each row has a folder of its own
in --out, named by its number or its column "id". A row that fails leaves row-error.json there, and
the others go on. The same command goes on where it stopped, and runs only what is not done.

  nodegraph batch flow.json --data rows.csv --out many
  nodegraph batch flow.json --data rows.jsonl --out many --retry     those that failed, too
  nodegraph batch flow.json --data rows.csv --out many --on ray --workers 4
  nodegraph batch flow.json --data - --out served      a request a line, an answer a line

Columns of a .csv or .tsv and keys of a .jsonl are the flow's declared inputs; an empty cell leaves
the default. Paths in the file start at its folder. --out gets rows.csv with what came of each row.
Models stay in memory up to NODEGRAPH_MEMORY GiB (half of the machine's).
"""
GRAPH = """\
Draw a workflow: its inputs, nodes and outputs, with the types that links carry.

  nodegraph graph flow.json                 a Mermaid diagram
  nodegraph graph flow.json --out flow.svg  a drawing; also .png
"""
CACHE = """\
Results are stored in the user's cache, or where NODEGRAPH_STORE says ("off" for nowhere), up to
NODEGRAPH_STORE_LIMIT GiB (10); what was not used for the longest time leaves first.

  nodegraph cache          how much there is
  nodegraph cache list     each result: last use, bytes, type of the node, key
  nodegraph cache verify   read all of them, and remove what is not as it was written
  nodegraph cache clear    remove all of them
"""
ACTIONS: Final = ("size", "list", "verify", "clear")
WHY = """\
Say whether a node's result is taken from the store, and if not, what is new since the last run of
this flow: an input, a file's contents, the source of a package, the version of a library.

  nodegraph why flow.json              a line for each node
  nodegraph why flow.json sample       back to where the change comes from
  nodegraph why flow.json sample --seed 8
"""


VERIFY = """\
Make a picture again from the record that it carries, without the store, and compare bit by bit.
Versions, model files and the machine are compared with the record first.

  nodegraph verify out/canny/image.png

Exit code 0: the same in every bit. 1: it differs, and by how much is said.
"""
PLAN = """\
Say what a run will hold in memory before it starts: weights by dtype, from the headers of their
files; values, as they were measured when the flow ran last in the same --out; and whether all of it
fits into what is free. Exit code 1 where it does not.

  nodegraph plan flow.json
  nodegraph plan flow.json --device cuda --dtype float16
"""
NEW = """\
Write a package with one node, its test, an example workflow and a README, in a folder of its own.

  nodegraph new-package sharpen
  cd nodegraph-sharpen && pip install -e '.[test]' && pytest
  nodegraph run flow.json
"""
_MODULES: Final = {
    "batch": "batching",
    "cache": "stored",
    "why": "stored",
    "verify": "verifying",
    "new-package": "packaging",
    "test-package": "packaging",
    "doctor": "packaging",
    "plan": "needing",
}


def _steps(word: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", word):
        return int(word)
    raise argparse.ArgumentTypeError(f"{word!r} is no number of steps; write 5, or 0 for never")


def _count(word: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,4}", word):
        return int(word)
    raise argparse.ArgumentTypeError(f"{word!r} is no number of workers; write 2")


def _device(word: str) -> str:
    if re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", word):
        return word
    raise argparse.ArgumentTypeError(f"{word!r} is no device; write cpu, cuda or cuda:1")


_SEVERAL: Final[dict[str, Any]] = {"action": "append", "default": []}
_SWITCH: Final = {"action": "store_true"}
_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "--set": {
        **_SEVERAL,
        "metavar": "NODE.PORT=VALUE",
        "help": "set a node's input, for this time; may be repeated",
    },
    "--input": {
        **_SEVERAL,
        "metavar": "NAME=VALUE",
        "help": "give a declared input, also one named like a flag; may be repeated",
    },
    "--models": {
        **_SEVERAL,
        "metavar": "DIR",
        "help": "look for models here first, then in NODEGRAPH_MODELS; may be repeated",
    },
    "--allow": {
        **_SEVERAL,
        "metavar": "DIR",
        "help": "let paths in the workflow lead here, besides its own folder and the current one",
    },
    "--out": {"metavar": "DIR", "help": "where outputs go (default: out/<flow name>)"},
    "--device": {
        "type": _device,
        "metavar": "DEVICE",
        "help": "cpu, cuda or cuda:1 and so on (default: cpu, or a picture's own)",
    },
    "--dtype": {
        "choices": ("auto", "float32", "bfloat16", "float16"),
        "help": "what models compute in (default: auto, what suits the device)",
    },
    "--save-every": {
        "dest": "checkpoint",
        "type": _steps,
        "metavar": "STEPS",
        "default": 0,
        "help": "keep the state of sampling after so many steps, to go on from after a crash",
    },
    "--trust": {**_SWITCH, "help": "run a picture's flow though it has nodes of other packages"},
    "--no-store": {**_SWITCH, "help": "compute everything anew, and keep nothing for the next run"},
    "--json": {**_SWITCH, "help": "answer as JSON on stdout: the problems, a run's events"},
    "--quiet": {**_SWITCH, "help": "say nothing but errors"},
    "--traceback": {**_SWITCH, "help": "show where an error came from"},
}
BUILT_IN: Final = ("-h", "--help", *_FLAGS)
"""Flags of `run` that every flow has."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; never guesses at shortened flags."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Leave as nothing but a command line may: SystemExit from a package is a fault."""
        if message:
            self._print_message(message, sys.stderr)
        raise Leave(status)

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with 2."""
        self.exit(2, f"nodegraph: {message}; see '{self.prog} --help'\n")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; `command` of the result is the function that does it."""
    top = parser()
    for word in words:
        if word.startswith("--") and word.partition("=")[2] == "--":  # argparse loses the value
            top.error(f"{word}: -- is no value")
    arguments, rest = top.parse_known_args(words)
    arguments.rest = rest
    if rest and not getattr(arguments, "takes_inputs", False):
        top.error(f"unknown argument {rest[0]!r}")
    return arguments


def parser() -> Parser:
    """Return the parser of all commands."""
    top = Parser(prog="nodegraph", description=_INTRO, epilog=_CODES)
    top.add_argument("--version", action="version", version=f"nodegraph {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, about: str, *flags: str, **settings: Any) -> Parser:
        settings.setdefault("description", about)
        command: Parser = commands.add_parser(name, help=about, **settings)
        module = _MODULES.get(name, "commands")
        command.set_defaults(command=_later(name, module), known=flags or BUILT_IN)
        add_flags(command, *flags, *([] if name == "run" else ["--traceback"]))
        return command

    run = add("run", "run a workflow", description=RUN, add_help=False)
    run.add_argument("flow", metavar="FLOW", nargs="?", help="the workflow file")
    add_run_flags(run)
    several = [flag for flag in _FLAGS if flag != "--traceback"]
    batch = add("batch", "run a workflow for each row of a file", *several, description=BATCH)
    _add_batch_flags(batch)
    about = "say everything that is wrong with a workflow"
    given = ("--set", "--input", "--models", "--allow")
    planned = ("--device", "--dtype", "--out", "--no-store", "--trust", "--json")
    check = add("check", about, *given, "--trust", "--json")
    nodes = add("nodes", "list installed nodes, or show a node's page", "--json")
    nodes.add_argument("type", metavar="TYPE", nargs="?", help="'image', or 'image.canny'")
    schema = add("schema", "print the JSON Schema of workflow files")
    schema.add_argument("packages", metavar="PACKAGE", nargs="*", help="default: all installed")
    cache = add("cache", "say what is stored for the next run", "--json", description=CACHE)
    cache.add_argument("action", metavar="ACTION", nargs="?", choices=ACTIONS, default="size")
    about = "say why a node's result is not taken from the store"
    why = add("why", about, *given, "--device", "--dtype", description=WHY)
    why.set_defaults(trust=False)
    plan = add("plan", "say what a run will need", *given, *planned, description=PLAN)
    about = "make a picture again from its record, and compare"
    verify = add("verify", about, "--models", "--allow", "--trust", "--quiet", description=VERIFY)
    verify.add_argument("picture", metavar="PICTURE", help="a PNG that nodegraph wrote")
    verify.set_defaults(set=[], input=[], swept=None)
    new = add("new-package", "write a node package of your own", description=NEW)
    new.add_argument("name", metavar="NAME", help="what workflows write before the dot")
    new.add_argument("--out", metavar="DIR", help="where its folder is made (default: here)")
    about = "call every node of a package at the edges of its ranges"
    tried = add("test-package", about, "--json")
    tried.add_argument("name", metavar="NAME", help="an installed package, such as image")
    add("doctor", "say what is wrong with packages, models and machine", "--models", "--json")
    graph = add("graph", "draw a workflow: Mermaid on stdout, or a picture", description=GRAPH)
    about = "write a drawing instead: .svg, .png or .mmd"
    graph.add_argument("--out", metavar="FILE", help=about)
    for command in (check, graph, why, batch, plan):
        command.add_argument("flow", metavar="FLOW", help="the workflow file")
    why.add_argument("node", metavar="NODE", nargs="?", help="default: all, one line each")
    for command in (run, check, why, batch, plan):
        command.set_defaults(takes_inputs=True, swept=None)
    return top


def _add_batch_flags(batch: argparse.ArgumentParser) -> None:
    about = "a .csv, .tsv or .jsonl file of rows, or - for JSON lines on standard input"
    batch.add_argument("--data", metavar="FILE", required=True, help=about)
    about = "run on a Ray cluster: ray, or ray://host:10001 (needs nodegraph[ray])"
    batch.add_argument("--on", metavar="WHERE", help=about)
    about = "processes on the cluster (default: one for each GPU, or each machine)"
    batch.add_argument("--workers", metavar="N", type=_count, help=about)
    again = batch.add_mutually_exclusive_group()
    again.add_argument("--retry", action="store_true", help="run rows again that failed")
    again.add_argument("--all", action="store_true", help="run all rows again")


def add_run_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags of `run` that every flow has."""
    about = "this help; with FLOW also its inputs"
    command.add_argument("-h", "--help", action="store_true", help=about)
    add_flags(command, *_FLAGS)


def add_flags(command: argparse.ArgumentParser, *flags: str) -> None:
    """Add flags by their names."""
    for flag in flags:
        command.add_argument(flag, **_FLAGS[flag])


def _later(name: str, module: str) -> Callable[[argparse.Namespace], int]:
    """Import the commands only when one is called: `--help` has to be quick."""

    def call(arguments: argparse.Namespace) -> int:
        commands = import_module(f"{__package__}.{module}")
        command: Callable[[argparse.Namespace], int] = getattr(commands, name.replace("-", "_"))
        return command(arguments)

    return call
