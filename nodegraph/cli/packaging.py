"""The commands for packages: a new one, and what is wrong with those that are there."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from nodegraph import __version__
from nodegraph.doctor import examine
from nodegraph.models import Models, expanded
from nodegraph.packages import Packages
from nodegraph.scaffold import write_package


def new_package(arguments: argparse.Namespace) -> int:
    """Write a package and say what to do with it."""
    folder = expanded(arguments.out) if arguments.out else Path()
    files = write_package(arguments.name, folder, __version__, Packages.installed().names)
    for path in files:
        print(path)
    print(f"\nnext: cd {files[0].parent} && pip install -e '.[test]' && pytest")
    return 0


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
