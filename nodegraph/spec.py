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
        rest = dict(data)
        inputs = [_input_from_json(port) for port in rest.pop("inputs")]
        outputs = [
            OutputSpec(o["name"], PortType.from_json(o["type"])) for o in rest.pop("outputs")
        ]
        return cls(
            inputs={port.name: port for port in inputs},
            outputs={port.name: port for port in outputs},
            **rest,
        )


def _input_from_json(data: dict[str, Any]) -> InputSpec:
    rest = dict(data)
    return InputSpec(type=PortType.from_json(rest.pop("type")), **rest)


def _input_to_json(port: InputSpec) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": port.type.to_json(),
        "flows": port.flows,
        "required": port.required,
        "default": port.default,
        "description": port.description,
    }
