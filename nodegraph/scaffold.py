"""Writes a node package that installs, runs and passes its own tests at once."""

import keyword
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Final

from .errors import Problem, WorkflowError

TEMPLATES: Final = Path(__file__).parent / "template"


def write_package(name: str, folder: Path, version: str, taken: Iterable[str]) -> list[Path]:
    """Write a package into a new folder, and return its files.

    Args:
        name: what workflows are to write before the dot.
        folder: where the package's own folder is made.
        version: the least version of nodegraph.
        taken: names of packages that are installed.

    Raises:
        WorkflowError: the name cannot be used, or the folder is there already or cannot be made.
    """
    place = folder / f"nodegraph-{name.replace('_', '-')}"
    refusal = _wrong(name, set(taken))
    if not refusal and place.exists():
        refusal = f"{place} is there already; remove it, or choose another name"
    if refusal:
        raise WorkflowError([Problem("bad_usage", "", f"new-package: {refusal}")])
    words = {"name": name, "dashed": name.replace("_", "-"), "version": version}
    files = {
        "pyproject.toml": "pyproject.toml.txt",
        f"nodegraph_{name}/__init__.py": "nodes.py.txt",
        f"nodegraph_{name}/py.typed": "",
        f"tests/test_{name}.py": "tests.py.txt",
        "flow.json": "flow.json.txt",
        "README.md": "README.md.txt",
    }
    try:
        for path, source in files.items():
            text = (TEMPLATES / source).read_text(encoding="utf-8") if source else ""
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(Template(text).substitute(words), encoding="utf-8")
    except OSError as error:
        message = f"new-package: {place}: {error.strerror}; choose another folder with --out"
        raise WorkflowError([Problem("bad_usage", "", message)]) from error
    return [place / path for path in files]


def _wrong(name: str, taken: set[str]) -> str:
    """Say why a name cannot be used, or ""."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        return f"{name!r} is no name; use up to 40 small letters, digits and _, a letter first"
    if keyword.iskeyword(name) or name in sys.stdlib_module_names:
        return f"{name!r} is a word of Python; choose another"
    return f"a package {name!r} is installed already; choose another name" if name in taken else ""
