"""Reads a function's signature and docstring into a NodeSpec."""

import inspect
import json
import re
import types
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .context import Context
from .errors import PackageError
from .jsontext import is_list, is_table
from .limits import read_limits, refuse_empty
from .ports import port_of
from .spec import NAME, InputSpec, NodeSpec, OutputSpec
from .types import Destination, Family, ModelFile, PortType

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "file"}
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
    place = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
    _refuse(function, place)
    if type(version) is not int or not 1 <= version < 10**9:
        raise PackageError(f"{place}: version={version!r} is no whole number from 1 on")
    if device not in ("cpu", "device"):
        raise PackageError(f"{place}: device={device!r} is neither 'cpu' nor 'device'")
    hints = _hints(function, place)
    inputs: dict[str, InputSpec] = {}
    context = ""
    notes = _argument_notes(inspect.getdoc(function) or "")
    for name, parameter in inspect.signature(function).parameters.items():
        if hints.get(name) is Context and context:
            raise PackageError(f"{place}: {context!r} and {name!r} are both Context; one will do")
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


def _refuse(function: Callable[..., Any], place: str) -> None:
    """Refuse what cannot be a node whatever its signature.

    Raises:
        PackageError: it is no plain function, or no workflow could write its name.
    """
    if isinstance(function, type) or not hasattr(function, "__name__"):
        raise PackageError(f"{place}: a node is a function; write one with `def`")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        help_ = "write it with `def`, and `asyncio.run` inside it what must be awaited"
        raise PackageError(f"{place}: an async function cannot be a node; {help_}")
    if inspect.isgeneratorfunction(function):
        raise PackageError(f"{place}: a generator cannot be a node; return a list, not `yield`")
    _named(function.__name__, place)


def _named(name: str, where: str) -> str:
    """Return a name that workflows can write.

    Raises:
        PackageError: they cannot.
    """
    if not NAME.fullmatch(name):
        help_ = "use up to 100 letters, digits and _, a letter first"
        raise PackageError(f"{where}: no workflow can write the name {name!r}; {help_}")
    return name


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
        name=_named(parameter.name, where),
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
        if not named or [*named] != [*result._fields]:
            help_ = "write `class Pair(NamedTuple)` with typed fields"
            raise PackageError(f"{where}: {result.__name__} says no types of its fields; {help_}")
        places = {name: f"{where} {name!r}" for name in named}
        return {
            name: OutputSpec(_named(name, places[name]), read_type(hint, places[name]))
            for name, hint in named.items()
        }, True
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
        return PortType("choice", choices=_choices(get_args(annotation), where))
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


def _choices(choices: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    for choice in choices:
        if choice is not None and type(choice) not in (str, int, bool):
            raise PackageError(f"{where}: the choice {choice!r} is neither text nor a number")
    return choices


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
        name = type(mark).__name__
        if isinstance(mark, type) and mark in (Family, Destination, ModelFile):
            raise PackageError(f"{where}: {mark.__name__} is a class; write {mark.__name__}(...)")
        if isinstance(mark, Destination | ModelFile) and bare.kind != "file":
            raise PackageError(f"{where}: {name} marks a pathlib.Path, not {bare.kind}")
        if isinstance(mark, Family):
            bare = replace(bare, family=mark.variable)
        elif isinstance(mark, Destination):
            bare = replace(bare, destination=True)
        elif isinstance(mark, ModelFile):
            bare = replace(bare, model=mark.kind, family=mark.family)
        else:
            limits |= read_limits(mark, bare.kind, where)
    refuse_empty(limits, where)
    return replace(bare, limits=limits)


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
    """Return a default as JSON has it."""
    plain = _without_paths(value)
    try:
        kept = json.loads(json.dumps(plain, allow_nan=False)) == plain
    except (TypeError, ValueError, RecursionError):
        kept = False
    if not kept:
        raise PackageError(
            f"{where}: the default {value!r} is not JSON; use None and set it inside"
        )
    return plain


def _without_paths(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if is_list(value):
        return [_without_paths(item) for item in value]
    if is_table(value):
        return {key: _without_paths(item) for key, item in value.items()}
    return value
