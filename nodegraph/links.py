"""Says whether the values of one port type may flow into another."""

from typing import Final

from .types import PortType

_ALSO: Final = {("integer", "number"), ("choice", "string"), ("string", "choice")}


def fits(source: PortType, target: PortType, *, declared: bool = False) -> bool:
    """Say whether a link may be made; ranges are looked at when the value is there.

    Args:
        declared: the source is a declared input of the flow, whose value and base folder are known
            before the run: a name may then go where a model is wanted.
    """
    if source.kind == "list" and target.kind == "list":
        if source.item is None or target.item is None:
            return True
        return fits(source.item, target.item, declared=declared)
    if source.kind == "port" or target.kind == "port":
        return source.port == target.port != ""
    if source.kind == target.kind:
        return source.kind != "choice" or _overlap(source, target)
    if declared and target.model:
        return source.kind in ("string", "choice")
    return (source.kind, target.kind) in _ALSO or (declared and source.kind == "choice")


def _overlap(source: PortType, target: PortType) -> bool:
    return any(choice in target.choices for choice in source.choices)
