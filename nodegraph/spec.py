"""What a node is, as plain data: its ports, ranges, defaults and help page."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from .types import PortType

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
"""What a package, a node and a port may be called: workflows write these names."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a node; `flows` tells what flows in from what is set."""

    name: str
    type: PortType
    flows: bool = False
    required: bool = True
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a node."""

    name: str
    type: PortType


P = TypeVar("P", InputSpec, OutputSpec)


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """Everything that is known of a node without running it."""

    name: str
    inputs: dict[str, InputSpec]
    outputs: dict[str, OutputSpec]
    doc: str = ""
    version: int = 1
    cache: bool = True
    device: str = "device"
    sink: bool = False
    several: bool = False
    context: str = ""

    @property
    def summary(self) -> str:
        """The first line of the help page."""
        return self.doc.partition("\n")[0]

    @property
    def lasting(self) -> bool:
        """Whether its result stands for the node: it writes nothing, and gives the same again."""
        writes = any(port.type.destination for port in self.inputs.values())
        return self.cache and not self.sink and not writes

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "NodeSpec":
        """Read what `to_json` gave."""
        rest = dict(data)
        inputs = {name: _typed(InputSpec, port) for name, port in rest.pop("inputs").items()}
        outputs = {name: _typed(OutputSpec, port) for name, port in rest.pop("outputs").items()}
        return cls(inputs=inputs, outputs=outputs, **rest)


def _typed(cls: type[P], data: dict[str, Any]) -> P:
    rest = dict(data)
    return cls(type=PortType.from_json(rest.pop("type")), **rest)
