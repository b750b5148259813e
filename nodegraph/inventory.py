"""Runs in a child process: imports one package and writes down what its nodes are."""

import hashlib
import json
import sys
from importlib import import_module
from inspect import getattr_static
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

from . import __version__
from .decorator import DECLARED, spec_of
from .errors import PackageError, reason
from .manifest import FORMAT
from .modules import digest_of, stamp
from .ports import ABILITIES, Port, port_named
from .sources import libraries, sources_of
from .spec import NodeSpec
from .types import PortType


def answer(request: dict[str, Any]) -> None:
    """Import the package that is asked for and write its manifest, or why there is none."""
    try:
        data = take(request["name"], request["module"], request["modules"])
    except PackageError as error:
        data = {"error": str(error)}
    except BaseException as error:  # noqa: BLE001 (a stranger's code, run at import)
        data = {"error": reason(error)}
    Path(request["answer"]).write_text(json.dumps(data), encoding="utf-8")


def take(name: str, module: str, modules: list[str]) -> dict[str, Any]:
    """Import a package and describe its nodes and the port types they use.

    Raises:
        PackageError: a node is defined twice; the second would silently stand for both.
    """
    before, began = set(sys.modules), perf_counter()
    loaded = import_module(module)
    seconds = perf_counter() - began
    top = module.partition(".")[0]
    specs: dict[str, NodeSpec] = {}
    for attribute, value in vars(loaded).items():
        spec = spec_of(value)
        if spec is None or spec.name != attribute:
            continue
        if value.__module__.partition(".")[0] == top:
            specs[attribute] = spec
    for attribute in specs:
        places = sorted(DECLARED[top, attribute])
        if len(places) > 1:
            raise PackageError(f"{attribute!r} is two nodes: {' and '.join(places)}; rename one")
    sources = sources_of(module, modules, set(sys.modules) - before)
    digests = {unit: digest_of(unit) for unit in sorted(sources.units)}
    return {
        "format": FORMAT,
        "nodegraph": __version__,
        "package": name,
        "stamp": stamp(digests),
        "digests": digests,
        "missing": sorted(sources.missing),
        "seconds": round(seconds, 3),
        "sources": hashlib.sha256(json.dumps(digests).encode()).hexdigest(),
        "libraries": libraries(sources.units),
        "nodes": {key: spec.to_json() for key, spec in specs.items()},
        "ports": _ports(loaded, specs),
    }


def _ports(loaded: ModuleType, specs: dict[str, NodeSpec]) -> dict[str, Any]:
    values = vars(loaded).values()
    declared = [getattr_static(value, "__nodegraph_port__", None) for value in values]
    found = {port.id: port for port in declared if isinstance(port, Port)}
    for spec in specs.values():
        types = [port.type for port in spec.inputs.values()]
        types += [port.type for port in spec.outputs.values()]
        for identity in filter(None, map(_identity, types)):
            found[identity] = port_named(identity)
    return {
        port.id: {
            "name": port.name,
            "suffixes": list(port.codec.suffixes),
            "can": [ability for ability in ABILITIES if port.codec.can(ability)],
        }
        for port in found.values()
    }


def _identity(type_: PortType) -> str:
    return _identity(type_.item) if type_.item else type_.port
