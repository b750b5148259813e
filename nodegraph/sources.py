"""The files of node packages: which modules they are in, their digest, libraries they import."""

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from .manifest import source_files


def own_modules(module: str, packages: Sequence[str]) -> dict[str, set[str]]:
    """Return the modules whose files decide what a package's nodes do, and what each imports.

    These are all that its distribution brings, and all that it imports anywhere, step by step,
    which no installed distribution answers for with a version: such as one beside it in a folder
    that is on the path, or another node package.

    Args:
        packages: modules of all installed node packages.
    """
    providers = packages_distributions()
    top = module.partition(".")[0]
    others = {each.partition(".")[0] for each in packages} - {top} | {"nodegraph"}
    ours = set(providers.get(top, ()))
    found: dict[str, set[str]] = {}
    pending = [top, *(n for n, d in providers.items() if ours & {*d} and n not in others)]
    while pending:
        each = pending.pop()
        if each in found:
            continue
        found[each] = _imports(each)
        for name in found[each] - sys.stdlib_module_names - {"nodegraph"}:
            if name in others or not providers.get(name) or ours & {*providers[name]}:
                pending += [name] if _has_files(name) else []
    return found


def digest_of(modules: Iterable[str]) -> str:
    """Return a digest of all files of some modules; where they lie is no part of it."""
    whole = hashlib.sha256()
    for module in sorted(modules):
        paths = sorted(path for path, _ in source_files(module))
        start = len(os.path.commonpath(paths)) if paths else 0
        for path in paths:
            with Path(path).open("rb") as file:
                text = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{module}{path[start:]}\0{text}\n".encode())
    return whole.hexdigest()


def libraries(modules: Mapping[str, set[str]]) -> list[str]:
    """Return the distributions that some modules import anywhere, the modules' own left out."""
    foreign = {n for each in modules.values() for n in each} - sys.stdlib_module_names
    foreign -= {"nodegraph", *modules}
    providers = packages_distributions()
    return sorted({owner for name in foreign for owner in providers.get(name, ())})


def _imports(module: str) -> set[str]:
    """Return the modules that a module imports anywhere, without their submodules."""
    named: set[str] = set()
    for path, _ in source_files(module):
        if path.endswith(".py"):
            with suppress(SyntaxError, ValueError, RecursionError):
                named.update(_imported(ast.parse(Path(path).read_bytes())))
    return named


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _has_files(name: str) -> bool:
    """Say whether a module is there with files of its own; a mere folder on the path is not."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and spec.has_location
