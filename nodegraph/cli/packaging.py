"""The commands for packages: a new one, and what is wrong with those that are there."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from nodegraph import __version__
from nodegraph.conformance import Check
from nodegraph.doctor import examine
from nodegraph.errors import Problem, WorkflowError, one_line
from nodegraph.models import Models, expanded
from nodegraph.packages import Packages
from nodegraph.scaffold import write_package
from nodegraph.values import near
from nodegraph.watching import try_apart


def new_package(arguments: argparse.Namespace) -> int:
    """Write a package and say what to do with it."""
    folder = expanded(arguments.out) if arguments.out else Path()
    files = write_package(arguments.name, folder, __version__, Packages.installed().names)
    for path in files:
        print(path)
    print(f"\nnext: cd {files[0].parent} && pip install -e '.[test]' && pytest")
    return 0


def test_package(arguments: argparse.Namespace) -> int:
    """Try a package as a whole: a line for each check; 1 where one fails."""
    packages = Packages.installed()
    if arguments.name not in packages.entries:
        help_ = near(arguments.name, packages.names) or f"; installed: {', '.join(packages.names)}"
        message = f"no package {arguments.name!r}{help_}"
        raise WorkflowError([Problem("unknown_package", "", message)])
    checks: list[Check] = []
    for check in try_apart(arguments.name, packages):
        checks.append(check)
        mark = "!!" if check.fault else "--" if check.passed_over else "ok"
        why = check.fault or check.passed_over
        if not arguments.json:
            line = f"{mark}  {check.node:<28} {check.what}{': ' if why else ''}{why}"
            print(one_line(line), flush=True)
    faults = sum(bool(check.fault) for check in checks)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        over = sum(bool(check.passed_over) for check in checks)
        print(f"{len(checks)} checks, {faults} failed, {over} passed over")
    return 1 if faults else 0


def doctor(arguments: argparse.Namespace) -> int:
    """Say what there is and what is to be mended; 1 where something is."""
    findings = list(examine(Packages.installed(), Models.searching(arguments.models)))
    faults = [finding for finding in findings if finding.fault]
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{'!!' if finding.fault else 'ok'}  {finding.topic:<9}  {finding.text}")
        print(f"{len(faults) or 'nothing'} to mend")
    return 1 if faults else 0
