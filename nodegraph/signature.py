"""Reads a function's signature and docstring into a NodeSpec."""

import inspect
import re
import types
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .context import Context
from .errors import PackageError
from .jsontext import is_list, is_table
from .ports import port_of
from .spec import InputSpec, NodeSpec, OutputSpec
from .types import Destination, Family, ModelFile, PortType

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "file"}
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_FORMS = (
    "bool, int, float, str, Literal, pathlib.Path, list[...], dict[str, Any], a port class, "
    "`| None` of these, or Annotated of these"
)


def read_signature(
    function: Callable[..., Any], *, version: int, cache: bool, device: str, sink: bool
) -> NodeSpec:
    """Describe a node function.

    Raises:
        PackageError: the signature says something that a port cannot be; all faults are named.
    """
    place = f"{function.__module__}.{function.__qualname__}"
    hints = _hints(function, place)
    inputs: dict[str, InputSpec] = {}
    context = ""
    notes = _argument_notes(inspect.getdoc(function) or "")
    for name, parameter in inspect.signature(function).parameters.items():
        if hints.get(name) is Context:
            context = name
        else:
            inputs[name] = _input(place, parameter, hints, notes.get(name, ""))
    outputs, several = _outputs(place, hints)
    return NodeSpec(
        name=function.__name__,
        inputs=inputs,
        outputs=outputs,
        doc=inspect.getdoc(function) or "",
        version=version,
        cache=cache,
        device=device,
        sink=sink or not outputs,
        several=several,
        context=context,
    )


def _hints(function: Callable[..., Any], place: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise PackageError(
            f"{place}: {error}; annotations of a node must be importable where it is defined"
        ) from error


def _input(place: str, parameter: inspect.Parameter, hints: dict[str, Any], note: str) -> InputSpec:
    where = f"{place}, parameter {parameter.name!r}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise PackageError(
            f"{where}: a node's parameters have fixed names; no *args, **kwargs or /"
        )
    if parameter.name not in hints:
        raise PackageError(f"{where}: no type; annotate it with {_FORMS}")
    required = parameter.default is parameter.empty
    return InputSpec(
        name=parameter.name,
        type=read_type(hints[parameter.name], where),
        flows=parameter.kind is parameter.POSITIONAL_OR_KEYWORD,
        required=required,
        default=None if required else _plain(parameter.default, where),
        description=_field_note(hints[parameter.name]) or note,
    )


def _outputs(place: str, hints: dict[str, Any]) -> tuple[dict[str, OutputSpec], bool]:
    where = f"{place}, result"
    if "return" not in hints:
        raise PackageError(f"{where}: no type; annotate what the node returns (None for a sink)")
    result: Any = hints["return"]
    if result is type(None):
        return {}, False
    if getattr(result, "_fields", None) is not None:
        named = get_type_hints(result, include_extras=True)
        return {k: OutputSpec(k, read_type(v, f"{where} {k!r}")) for k, v in named.items()}, True
    return {"output": OutputSpec("output", read_type(result, where))}, False


def read_type(annotation: Any, where: str) -> PortType:
    """Translate an annotation into a port type.

    Raises:
        PackageError: a port cannot have this type.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        return _mark(read_type(inner, where), marks, where)
    if origin is Union or origin is types.UnionType:
        return _union(get_args(annotation), where)
    if origin is Literal:
        return PortType("choice", choices=get_args(annotation))
    if origin is list:
        return PortType("list", item=read_type(get_args(annotation)[0], where))
    if annotation is dict or origin is dict:
        return PortType("object")
    if annotation in _PLAIN:
        return PortType(_PLAIN[annotation])
    if isinstance(annotation, type) and hasattr(annotation, "__nodegraph_port__"):
        declared = port_of(annotation)
        return PortType("port", port=declared.id, name=declared.name)
    name = getattr(annotation, "__qualname__", None) or str(annotation)
    raise PackageError(f"{where}: a port cannot be of type {name}; use {_FORMS} (see @port)")


def _union(parts: tuple[Any, ...], where: str) -> PortType:
    solid = [part for part in parts if part is not type(None)]
    if set(solid) == {int, float}:
        solid = [float]
    if len(solid) != 1:
        raise PackageError(f"{where}: a union of several types; only `| None` is allowed")
    return replace(read_type(solid[0], where), nullable=len(solid) < len(parts))


def _mark(bare: PortType, marks: Iterable[Any], where: str) -> PortType:
    limits = dict(bare.limits)
    for mark in marks:
        if isinstance(mark, Family):
            bare = replace(bare, family=mark.variable)
        elif isinstance(mark, Destination):
            bare = replace(bare, destination=True)
        elif isinstance(mark, ModelFile):
            if bare.kind != "file":
                raise PackageError(f"{where}: ModelFile marks a pathlib.Path, not {bare.kind}")
            bare = replace(bare, model=mark.kind, family=mark.family)
        else:
            limits |= _limits(mark, bare.kind)
    return replace(bare, limits=limits)


def _limits(mark: Any, kind: str) -> dict[str, Any]:
    """Read bounds from pydantic's Field or annotated-types, which carry the same attributes."""
    found: dict[str, Any] = {}
    for part in getattr(mark, "metadata", None) or [mark]:
        for attribute, word in _BOUNDS.items():
            value = getattr(part, attribute, None)
            if value is not None:
                found[word.replace("Length", "Items") if kind == "list" else word] = value
    return found


def _field_note(annotation: Any) -> str:
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    notes = [getattr(mark, "description", None) for mark in marks]
    return next((note for note in notes if isinstance(note, str)), "")


def _argument_notes(doc: str) -> dict[str, str]:
    """Read `name: text` lines, with their continuations, from a docstring's `Args:` section."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc, re.MULTILINE)
    notes: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(section.group(1)).splitlines() if section else []:
        entry = re.match(r"(\w+):\s*(.*)", line)
        if entry:
            name = entry.group(1)
            notes[name] = entry.group(2)
        elif name and line.strip():
            notes[name] += " " + line.strip()
    return notes


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if is_list(value):
        return [_plain(item, where) for item in value]
    if is_table(value):
        return {key: _plain(item, where) for key, item in value.items()}
    raise PackageError(f"{where}: the default {value!r} is not JSON; use None and set it inside")
