"""JSON Schema of the workflow file, with the inputs of every installed node."""

from collections.abc import Mapping
from typing import Any

from .spec import InputSpec, NodeSpec
from .types import LIMITS, PortType
from .workflow import VERSION

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ID = "^[A-Za-z_][A-Za-z0-9_]*$"
_KINDS = {"list": "array", "file": "string", "choice": None, "port": None}


def workflow_schema(specs: Mapping[str, NodeSpec]) -> dict[str, Any]:
    """Return a schema for editors: completion and checks of types, inputs, ranges and defaults."""
    return {
        "$schema": _DRAFT,
        "title": "nodegraph workflow",
        "type": "object",
        "required": ["nodegraph", "nodes"],
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string"},
            "nodegraph": {"const": VERSION},
            "title": {"type": "string"},
            "description": {"type": "string"},
            "requires": {"type": "object", "additionalProperties": {"type": "string"}},
            "inputs": _named({"$ref": "#/$defs/declaration"}),
            "nodes": {**_named({"$ref": "#/$defs/node"}), "minProperties": 1},
            "outputs": _named({"$ref": "#/$defs/ref"}),
            "ui": {"type": "object"},
        },
        "$defs": {
            "ref": _REF,
            "literal": _object({"literal": {}}, ["literal"]),
            "declaration": _DECLARATION,
            "node": _node(specs),
            **{type_: _inputs(spec) for type_, spec in specs.items()},
        },
    }


def value_schema(type_: PortType) -> dict[str, Any]:
    """Return the schema of what may stand in a port as a literal."""
    if type_.kind == "choice":
        schema: dict[str, Any] = {"enum": [*type_.choices, *([None] if type_.nullable else [])]}
        return schema
    schema = {"type": _KINDS.get(type_.kind, type_.kind), **type_.limits}
    if type_.kind == "list" and type_.item:
        schema["items"] = _slot(type_.item)
    return {"anyOf": [schema, {"type": "null"}]} if type_.nullable else schema


def _node(specs: Mapping[str, NodeSpec]) -> dict[str, Any]:
    """A node: its type chooses the schema of its inputs; a type may carry its version."""
    forms = [f for type_, spec in specs.items() for f in (type_, f"{type_}@{spec.version}")]
    choose = [_choice(type_, spec) for type_, spec in specs.items()]
    text, table = {"type": "string"}, {"type": "object"}
    more = {"title": text, "description": text, "ui": table}
    properties = {"type": {"enum": forms}, "inputs": table, **more}
    return {**_object(properties, ["type"]), "allOf": choose}


def _choice(type_: str, spec: NodeSpec) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"inputs": {"$ref": f"#/$defs/{type_}"}}}
    if any(port.required for port in spec.inputs.values()):
        then["required"] = ["inputs"]
    forms = [type_, f"{type_}@{spec.version}"]
    return {"if": {"properties": {"type": {"enum": forms}}}, "then": then}


def _inputs(spec: NodeSpec) -> dict[str, Any]:
    properties = {port.name: _input(port) for port in spec.inputs.values()}
    required = [port.name for port in spec.inputs.values() if port.required]
    return {**_object(properties, required), "description": spec.summary}


def _input(port: InputSpec) -> dict[str, Any]:
    schema = _slot(port.type)
    if port.description:
        schema["description"] = port.description
    if not port.required:
        schema["default"] = port.default
    return schema


def _slot(type_: PortType) -> dict[str, Any]:
    """A literal, where the port takes one, or a link."""
    link = {"$ref": "#/$defs/ref"}
    if type_.kind == "port":
        return {"anyOf": [link, {"type": "null"}]} if type_.nullable else {"anyOf": [link]}
    return {"anyOf": [value_schema(type_), link, {"$ref": "#/$defs/literal"}]}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": _ID}, "additionalProperties": schema}


_REF = _object({"ref": {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$"}}, ["ref"])
_DECLARATION = _object(
    {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "default": {},
        "enum": {"type": "array", "minItems": 1},
        **{word: {"type": "number"} for word in LIMITS},
    },
    ["type"],
)
