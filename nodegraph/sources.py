"""The sources of node packages: their digest, and the libraries that they import."""

import ast
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import packages_distributions
from pathlib import Path

from .manifest import source_files


def digest_of(modules: Sequence[str]) -> str:
    """Return a digest of all source files of some modules; where they lie is no part of it."""
    whole = hashlib.sha256()
    for module in sorted(modules):
        paths = sorted(path for path, _ in source_files(module))
        start = len(os.path.commonpath(paths)) if paths else 0
        for path in paths:
            text = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            whole.update(f"{module}{path[start:]}\0{text}\n".encode())
    return whole.hexdigest()


def libraries(modules: Sequence[str]) -> list[str]:
    """Return the distributions that some modules import anywhere, the modules' own left out."""
    own = {module.partition(".")[0] for module in modules} | {"nodegraph"}
    named: set[str] = set()
    for module in modules:
        for path, _ in source_files(module):
            with suppress(SyntaxError, ValueError, RecursionError):
                named.update(_imported(ast.parse(Path(path).read_bytes())))
    providers = packages_distributions()
    foreign = named - own - sys.stdlib_module_names
    return sorted({owner for name in foreign for owner in providers.get(name, ())})


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
