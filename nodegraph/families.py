"""Follows model families through a flow: ports of a node with one letter must agree."""

from collections.abc import Iterable
from dataclasses import dataclass

from .spec import NodeSpec
from .types import PortType


@dataclass(frozen=True, slots=True)
class Family:
    """A family and the file that it was read from."""

    name: str
    origin: str


def letter(type_: PortType) -> str:
    """Return the family variable of a port, looking into lists."""
    return letter(type_.item) if type_.item else type_.family


def agree(
    node: str, spec: NodeSpec, arriving: Iterable[tuple[str, Family]]
) -> tuple[dict[str, Family], dict[str, str]]:
    """Bind a node's family variables from the families that arrive at its inputs.

    Returns:
        The families of its outputs by port, and what to say of an input that does not agree.
    """
    bound: dict[str, tuple[str, Family]] = {}
    clashes: dict[str, str] = {}
    for port, family in arriving:
        variable = letter(spec.inputs[port].type)
        first, held = bound.setdefault(variable, (port, family))
        if held.name != family.name:
            clashes[port] = (
                f"{node}.{port}: of family {family.name!r} (from {family.origin}), but {first!r} "
                f"is of family {held.name!r} (from {held.origin}); use files of one family"
            )
    outputs = {
        name: bound[letter(output.type)][1]
        for name, output in spec.outputs.items()
        if letter(output.type) in bound
    }
    return outputs, clashes
