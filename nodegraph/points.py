"""Reads entry points of what is installed; an odd one is told and hurts nobody else."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points

from .errors import one_line
from .spec import NAME


@dataclass(frozen=True, slots=True)
class Points:
    """Entry points of one group, and in words those that cannot be used."""

    good: tuple[EntryPoint, ...]
    faults: tuple[str, ...]


def read_points(group: str) -> Points:
    """Return the entry points of a group; no distribution's metadata can keep others from it."""
    faults: list[str] = []
    try:
        found = list(entry_points(group=group))  # quick, but one broken file ends it
    except (ValueError, TypeError, AttributeError, OSError):
        found = list(_one_by_one(group, faults))
    good: list[EntryPoint] = []
    for point in found:
        fault = _fault(point)
        if fault:
            side = f"{distributed(point.dist)}: entry point '{point.name} = {point.value}'"
            faults.append(one_line(f"{side} of {group}: {fault}"))
        else:
            good.append(point)
    return Points(tuple(good), tuple(faults))


def distributed(distribution: Distribution | None) -> str:
    """Return what something was installed as; a broken installation may not say."""
    return field_of(distribution, "Name") or "unknown"


def field_of(distribution: Distribution | None, field: str) -> str:
    """Return a field of a distribution's metadata, or ""; a broken installation has none."""
    if distribution is None or field not in distribution.metadata:
        return ""
    return distribution.metadata[field] or ""


def _one_by_one(group: str, faults: list[str]) -> Iterator[EntryPoint]:
    seen: set[str] = set()
    for distribution in distributions():
        name = distributed(distribution)
        if name != "unknown" and name in seen:
            continue  # one that stands later on the path
        seen.add(name)
        try:
            yield from distribution.entry_points.select(group=group)
        except (ValueError, TypeError, AttributeError, OSError):
            place = distribution.locate_file("")
            faults.append(
                f"{name}: its entry_points.txt below {place} is broken; repair or uninstall it"
            )


def _fault(point: EntryPoint) -> str:
    """Say why nobody could use an entry point, or ""."""
    if not NAME.fullmatch(point.name):
        return "no workflow can write this name; use letters, digits and _, a letter first"
    named = point.pattern.match(point.value)
    if not named or not all(map(str.isidentifier, named["module"].split("."))):
        return f"{point.value!r} names no module; write one, such as my_nodes"
    return ""
