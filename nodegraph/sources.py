"""What node packages import: modules whose files count, and libraries whose versions do."""

import ast
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

from .modules import source_files, unit_of


@dataclass(frozen=True, slots=True)
class Sources:
    """What a package is made of."""

    units: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Modules whose files count, and what each imports anywhere."""
    missing: set[str] = field(default_factory=set[str])
    """What they import that is not there; once it is, they may do something else."""


def sources_of(module: str, packages: Sequence[str], loaded: Iterable[str] = ()) -> Sources:
    """Return what decides what a package's nodes do.

    These are all modules that its distribution brings, and all that it imports anywhere, step by
    step, which no installed distribution answers for with a version: such as one beside it in a
    folder that is on the path, one that is installed to be edited, or another node package.

    Args:
        packages: modules of all installed node packages.
        loaded: modules that were imported with it, whoever named them.
    """
    providers = packages_distributions()
    top = module.partition(".")[0]
    others = {_top(each) for each in packages} - {top} | {"nodegraph"}
    ours = set(providers.get(top, ()))
    found = Sources()
    pending = [module, *loaded]
    pending += [n for n, d in providers.items() if ours & {*d} and n not in others]
    while pending:
        name = pending.pop()
        owners = set(providers.get(_top(name), ()))
        if _top(name) in sys.stdlib_module_names or _top(name) == "nodegraph":
            continue
        if _top(name) not in others and owners and not ours & owners and _answered(owners):
            continue
        unit = unit_of(name)
        if not unit:
            found.missing.add(name)
        elif unit not in found.units:
            found.units[unit] = set(_imports(unit))
            pending += found.units[unit]
    found.missing.difference_update(loaded)
    return found


def _top(dotted: str) -> str:
    return dotted.partition(".")[0]


def _answered(owners: Iterable[str]) -> bool:
    """Say whether versions tell the files: not where a distribution is installed to be edited."""
    return not any(map(_is_editable, owners))


def _is_editable(owner: str) -> bool:
    with suppress(PackageNotFoundError, ValueError, AttributeError, TypeError):
        said: Any = json.loads(distribution(owner).read_text("direct_url.json") or "{}")
        return bool(said.get("dir_info", {}).get("editable"))
    return False


def libraries(units: Mapping[str, set[str]]) -> list[str]:
    """Return the distributions that some modules import anywhere, the modules' own left out."""
    foreign = {_top(name) for names in units.values() for name in names}
    foreign -= {"nodegraph", *map(_top, units), *sys.stdlib_module_names}
    providers = packages_distributions()
    return sorted({owner for name in foreign for owner in providers.get(name, ())})


def _imports(unit: str) -> Iterator[str]:
    """Yield what a module imports anywhere, as far as its text says."""
    for path, _ in source_files(unit):
        if path.endswith(".py"):
            with suppress(SyntaxError, ValueError, RecursionError, OSError):
                yield from _imported(ast.parse(Path(path).read_bytes()))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                inner = [f"{module}.{alias.name}" for alias in names]
                yield from [each for each in inner if unit_of(each) == each] or [module]
            case ast.Call(func=called, args=[ast.Constant(value=str(name)), *_]):
                word = getattr(called, "attr", getattr(called, "id", ""))
                if word in ("import_module", "__import__") and not name.startswith("."):
                    yield name
            case _:
                pass
