"""Writes the help page of a node from its specification."""

import json
import re

from .spec import InputSpec, NodeSpec
from .values import expected, noun


def node_page(type_: str, spec: NodeSpec) -> str:
    """Return a node's page: what it does, its inputs and outputs, how it is written in a flow."""
    lines = [f"{type_}@{spec.version}", "", _without_arguments(spec.doc) or "(no description)"]
    flows = [port for port in spec.inputs.values() if port.flows]
    settings = [port for port in spec.inputs.values() if not port.flows]
    lines += _section("Flows in", [_describe(port) for port in flows])
    lines += _section("Settings", [_describe(port) for port in settings])
    outputs = [(name, noun(port.type)) for name, port in spec.outputs.items()]
    lines += _section("Outputs", outputs or [("none", "a sink: it always runs")])
    return "\n".join([*lines, "", "In a workflow:", f"  {_example(type_, spec)}"])


def _describe(port: InputSpec) -> tuple[str, str]:
    ending = "" if port.required else f" (default: {json.dumps(port.default, ensure_ascii=False)})"
    about = f"{port.description.rstrip('.')}; " if port.description else ""
    return port.name, about + expected(port.type) + ending


def _section(title: str, rows: list[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    width = max(len(name) for name, _ in rows)
    return ["", f"{title}:", *(f"  {name:<{width}}  {text}" for name, text in rows)]


def _example(type_: str, spec: NodeSpec) -> str:
    needed = [port for port in spec.inputs.values() if port.required]
    inputs = {port.name: _sample(port) for port in needed}
    return json.dumps({spec.name: {"type": type_, "inputs": inputs}}, ensure_ascii=False)


def _sample(port: InputSpec) -> object:
    if port.type.kind == "port":
        return {"ref": port.type.name}
    if port.type.kind == "choice":
        return port.type.choices[0]
    samples: dict[str, object] = {
        "boolean": True,
        "integer": 1,
        "number": 1.0,
        "list": [],
        "object": {},
    }
    return samples.get(port.type.kind, "...")


def _without_arguments(doc: str) -> str:
    return re.sub(r"^Args:\n(?:[ \t]+.*\n?|\n)+", "", doc, flags=re.MULTILINE).strip()
