"""A workflow as it stands in its file, before it is compared with what is installed."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from .errors import Problem
from .jsontext import is_list
from .ports import declared_port
from .types import PortType

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the file or was given; paths in it are relative to `base`.

    A `confined` one comes from a workflow, which may not name every file.
    """

    value: Any
    base: Path
    confined: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """A link to a node's output; `port` is empty when the node has only one."""

    node: str
    port: str = ""


@dataclass(frozen=True, slots=True)
class InputRef:
    """A link to a declared input of the flow."""

    name: str


@dataclass(frozen=True, slots=True)
class Several:
    """A list in which some items are links."""

    items: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that has been reported as not in form."""


Value = Literal | Ref | InputRef | Several | Unreadable


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declared input; of a port type only the name is known until packages are looked at."""

    name: str
    type: PortType
    description: str = ""
    default: Literal | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A node as it stands in the file; `package` is empty for a flow, or a type not in form."""

    id: str
    package: str
    function: str
    version: int | None
    inputs: dict[str, Value]
    flow: str = ""
    """The file of a flow that stands here as a node."""
    mapped: tuple[str, ...] = ()
    """Inputs that are lists, for each item of which the node runs."""
    when: Value | None = None
    """What has to be true for the node to run."""

    @property
    def type(self) -> str:
        """The type without its version, or the file of a flow."""
        return self.flow or f"{self.package}.{self.function}"


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow file, read; `problems` are what is not in form."""

    name: str
    base: Path
    title: str
    requires: dict[str, str]
    inputs: dict[str, Declaration]
    nodes: dict[str, Entry]
    outputs: dict[str, Ref]
    raw: dict[str, Any] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    file: Path | None = None
    """Where it was read from, links resolved."""
    within: "dict[str, Workflow]" = field(default_factory=dict[str, "Workflow"], repr=False)
    """Flows that stand in the place of nodes and were not read from the files that these name."""

    def with_value(self, node: str, port: str, value: Literal) -> "Workflow":
        """Return a copy in which a node's input is set to a value, its JSON included."""
        entry = self.nodes[node]
        changed = replace(entry, inputs={**entry.inputs, port: value})
        raw_node = self.raw["nodes"][node]
        plain = plain_value(value.value)
        raw_inputs = {**raw_node.get("inputs", {}), port: plain}
        raw_nodes = {**self.raw["nodes"], node: {**raw_node, "inputs": raw_inputs}}
        nodes = {**self.nodes, node: changed}
        return replace(self, nodes=nodes, raw={**self.raw, "nodes": raw_nodes})


def plain_value(value: Any) -> Any:
    """Return what JSON can say of a value that was set from Python."""
    declared = declared_port(value)
    if declared is not None:
        return {"given": declared.name}
    if is_list(value):
        return [plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value
