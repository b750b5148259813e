"""What a node is, as plain data: its ports, ranges, defaults and help page."""

from dataclasses import dataclass
from typing import Any

from .types import PortType


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

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "inputs": [_input_to_json(port) for port in self.inputs.values()],
            "outputs": [{"name": o.name, "type": o.type.to_json()} for o in self.outputs.values()],
            "doc": self.doc,
            "version": self.version,
            "cache": self.cache,
            "device": self.device,
            "sink": self.sink,
            "several": self.several,
            "context": self.context,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "NodeSpec":
        """Read what `to_json` gave."""
        inputs = [InputSpec(**{**i, "type": PortType.from_json(i["type"])}) for i in data["inputs"]]
        outputs = [OutputSpec(o["name"], PortType.from_json(o["type"])) for o in data["outputs"]]
        named = {"inputs": {i.name: i for i in inputs}, "outputs": {o.name: o for o in outputs}}
        return cls(**{**data, **named})


def _input_to_json(port: InputSpec) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": port.type.to_json(),
        "flows": port.flows,
        "required": port.required,
        "default": port.default,
        "description": port.description,
    }
