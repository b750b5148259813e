"""Compares a workflow's `requires` with the versions that are installed."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from . import __version__


def unmet(requires: dict[str, str]) -> Iterator[tuple[str, tuple[str, str], str]]:
    """Yield code, path and message of each requirement that is not met."""
    if not requires:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for name, text in requires.items():
        path, place = ("requires", name), f"requires.{name}"
        try:
            wanted = SpecifierSet(text)
        except InvalidSpecifier:
            message = f"{place}: {text!r} is not a range of versions; write such as '>=1.2,<2'"
            yield "bad_requirement", path, message
            continue
        try:
            present = __version__ if name == "nodegraph" else version(name)
            if not present:  # metadata that is left of another installation
                raise PackageNotFoundError(name)
        except (PackageNotFoundError, ValueError):
            yield "missing_requirement", path, f"{place}: not installed; pip install '{name}{text}'"
            continue
        if not wanted.contains(present, prereleases=True):
            message = f"{place}: {present} is installed; pip install '{name}{text}'"
            yield "unmet_requirement", path, message
