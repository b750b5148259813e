"""The type of a port as plain data: what a value must be, and which values a link may carry."""

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Family:
    """Marks a port as belonging to a model family: `Annotated[UNet, Family("F")]`.

    Ports of one node with the same letter must carry the same family.
    """

    variable: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Marks a path as a model's: a name or a path is resolved before the node gets the path.

    `kind` is what the file must hold ("checkpoint", "controlnet"), `family` the variable it binds.
    """

    kind: str
    family: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """Marks a path that the node writes: `Annotated[Path, Destination()]` need not exist yet."""


LIMITS: Final = (
    "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "minItems", "maxItems",
)  # fmt: skip
"""The words of JSON Schema that a declared input may use.

A port may also have `pattern`; a flow may not."""


@dataclass(frozen=True, slots=True)
class PortType:
    """What may stand in a port.

    `kind` is boolean, integer, number, string, choice, file, list, object or port. `limits` are in
    the words of JSON Schema. `port` identifies a port class as `module:Class`, `name` is what users
    call it.
    """

    kind: str
    nullable: bool = False
    limits: dict[str, Any] = field(default_factory=dict[str, Any])
    choices: tuple[Any, ...] = ()
    item: "PortType | None" = None
    port: str = ""
    name: str = ""
    family: str = ""
    model: str = ""
    destination: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PortType":
        """Read what `dataclasses.asdict` gave, after a way through JSON."""
        rest = dict(data)
        item, choices = rest.pop("item"), rest.pop("choices")
        return cls(item=cls.from_json(item) if item else None, choices=tuple(choices), **rest)


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
