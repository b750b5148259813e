"""The workflow file: reads its JSON into a Workflow, and says everything that is not in form."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from . import jsontext
from .errors import Problem, WorkflowError
from .jsontext import is_list, is_table, pointer
from .types import LIMITS, PortType

VERSION: Final = 1
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TYPE = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)(?:@([1-9][0-9]*))?\Z", re.ASCII)
_JSON_KINDS: Final = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
    "string": "string",
    "array": "list",
    "object": "object",
    "file": "file",
}
_TOP = ("nodegraph", "title", "description", "requires", "inputs", "nodes", "outputs", "ui")
_NODE = ("type", "inputs", "title", "description", "ui")
_LATER = ("flow", "map", "when")
_INPUT = ("type", "default", "title", "description", "enum", *LIMITS)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the file or was given; paths in it are relative to `base`."""

    value: Any
    base: Path


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


Value = Literal | Ref | InputRef | Several


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declared input; of a port type only the name is known until packages are looked at."""

    name: str
    type: PortType
    description: str = ""
    default: Literal | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A node as it stands in the file."""

    id: str
    package: str
    function: str
    version: int | None
    inputs: dict[str, Value]

    @property
    def type(self) -> str:
        """The type without its version."""
        return f"{self.package}.{self.function}"


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow file, read; nothing in it has been compared with installed packages yet."""

    name: str
    base: Path
    title: str
    requires: dict[str, str]
    inputs: dict[str, Declaration]
    nodes: dict[str, Entry]
    outputs: dict[str, Ref]
    raw: dict[str, Any] = field(repr=False)

    def with_value(self, node: str, port: str, value: Literal) -> "Workflow":
        """Return a copy in which a node's input is set to a value."""
        entry = self.nodes[node]
        changed = replace(entry, inputs={**entry.inputs, port: value})
        return replace(self, nodes={**self.nodes, node: changed})


def near(word: str, known: Iterable[str]) -> str:
    """Say "; did you mean ...?" when something known is close, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def load(path: str | Path) -> Workflow:
    """Read a workflow file.

    Raises:
        WorkflowError: it cannot be read, or is not in form; all faults are named.
    """
    path = Path(path)
    data = jsontext.parse(jsontext.read_text(path), path.name)
    return from_data(data, name=path.stem, base=path.resolve().parent)


def from_data(data: Any, *, name: str = "workflow", base: Path | None = None) -> Workflow:
    """Read a workflow from parsed JSON; its relative paths start at `base`.

    Raises:
        WorkflowError: it is not in form; all faults are named.
    """
    reader = _Reader(base or Path.cwd())
    flow = reader.workflow(data, name)
    if reader.problems:
        raise WorkflowError(reader.problems)
    return flow


class _Reader:
    """Collects problems while it reads, so that all are told at once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[Problem] = []

    def fault(self, code: str, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(Problem(code, pointer(*path), message))

    def workflow(self, data: Any, name: str) -> Workflow:
        top = self.table(data, (), "the workflow")
        if (data == top and top.get("nodegraph") != VERSION) or top.get("nodegraph") is True:
            self.fault("bad_version", ("nodegraph",), _version_message(top))
        self.known_keys(top, _TOP, (), "the workflow")
        nodes = self.table(top.get("nodes", {}), ("nodes",), "nodes")
        if data == top and not nodes:
            self.fault("no_nodes", ("nodes",), "nodes: there are none; add at least one node")
        return Workflow(
            name=name,
            base=self.base,
            title=self.text(top.get("title", ""), ("title",), "title"),
            requires=self.requires(top.get("requires", {})),
            inputs=self.declarations(top.get("inputs", {})),
            nodes=self.entries(nodes),
            outputs=self.outputs(top.get("outputs", {})),
            raw=top,
        )

    def requires(self, data: Any) -> dict[str, str]:
        table = self.table(data, ("requires",), "requires")
        return {
            key: self.text(value, ("requires", key), f"requires.{key}")
            for key, value in table.items()
        }

    def declarations(self, data: Any) -> dict[str, Declaration]:
        found: dict[str, Declaration] = {}
        for name, item in self.table(data, ("inputs",), "inputs").items():
            path, place = ("inputs", name), f"inputs.{name}"
            table = self.table(item, path, place)
            if self.identifier(name, path, place) and table:
                found[name] = self.declaration(name, table, path, place)
        return found

    def declaration(
        self, name: str, table: dict[str, Any], path: tuple[str, str], place: str
    ) -> Declaration:
        self.known_keys(table, _INPUT, path, place)
        kind = self.text(table.get("type", ""), (*path, "type"), f"{place}.type")
        if not kind:
            message = f"{place}: has no type; give one of {', '.join(_JSON_KINDS)} or a port type"
            self.fault("bad_declaration", (*path, "type"), message)
        return Declaration(
            name=name,
            type=self.declared_type(kind, table, path, place),
            description=self.text(table.get("description", ""), path, f"{place}.description"),
            default=Literal(table["default"], self.base) if "default" in table else None,
        )

    def declared_type(
        self, kind: str, table: dict[str, Any], path: tuple[str, str], place: str
    ) -> PortType:
        nullable = "default" in table and table["default"] is None
        limits: dict[str, Any] = {}
        for word in LIMITS:
            if word in table:
                limits[word] = self.limit(word, table[word], path, place)
        if "enum" in table:
            choices: Any = table["enum"]
            if is_list(choices) and choices:
                return PortType("choice", nullable, choices=tuple(choices))
            self.fault("bad_declaration", (*path, "enum"), f"{place}.enum: not a list of values")
        if kind in _JSON_KINDS:
            return PortType(_JSON_KINDS[kind], nullable, limits)
        return PortType("port", nullable, name=kind)

    def limit(self, word: str, value: Any, path: tuple[str, str], place: str) -> Any:
        wanted = str if word == "pattern" else int if word[:3] in ("min", "max") else float
        whole = word.endswith(("Length", "Items"))
        fits = isinstance(value, str) if wanted is str else _is_number(value, whole)
        if fits and word == "pattern":
            fits = _is_pattern(value)
        if fits and word == "multipleOf":
            fits = value > 0
        if not fits:
            self.fault(
                "bad_declaration", (*path, word), f"{place}.{word}: {value!r} cannot be used here"
            )
            return {"pattern": "", "multipleOf": 1}.get(word, 0)
        return value

    def entries(self, data: dict[str, Any]) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for name, item in data.items():
            path = ("nodes", name)
            table = self.table(item, path, name)
            if not self.identifier(name, path, "nodes"):
                continue
            if name == "inputs":
                self.fault("bad_id", path, "nodes: the id 'inputs' is reserved; choose another")
            if isinstance(item, dict):
                found[name] = self.entry(name, table, path)
        return found

    def entry(self, name: str, table: dict[str, Any], path: tuple[str, str]) -> Entry:
        later = [key for key in _LATER if key in table]
        for key in later:
            message = (
                f"{name}: {key!r} is not supported by this version of nodegraph yet; remove it"
            )
            self.fault("unsupported", (*path, key), message)
        self.known_keys(table, (*_NODE, *_LATER), path, name)
        text = table.get("type", "")
        match = _TYPE.match(text) if isinstance(text, str) else None
        if match is None and not later:
            said = repr(text) if "type" in table else "nothing"
            message = f"{name}: type is {said}; write 'package.function', such as 'image.load'"
            self.fault("bad_type", (*path, "type"), message)
        package, function, version = match.groups() if match else ("", "", None)
        values = self.table(table.get("inputs", {}), (*path, "inputs"), f"{name}.inputs")
        inputs = {
            port: self.value(value, (*path, "inputs", port), f"{name}.{port}")
            for port, value in values.items()
        }
        return Entry(name, package, function, int(version) if version else None, inputs)

    def value(self, data: Any, path: tuple[str | int, ...], place: str) -> Value:
        if is_list(data):
            return self.several(data, path, place)
        if is_table(data) and "ref" in data:
            return self.ref(data, path, place)
        if is_table(data) and set(data) == {"literal"}:
            return Literal(data["literal"], self.base)
        return Literal(data, self.base)

    def several(self, items: list[Any], path: tuple[str | int, ...], place: str) -> Value:
        if not any(_is_link(item) for item in items):
            return Literal(items, self.base)
        found = [self.value(item, (*path, i), f"{place}[{i}]") for i, item in enumerate(items)]
        return Several(tuple(found))

    def ref(self, table: dict[str, Any], path: tuple[str | int, ...], place: str) -> Value:
        target = table["ref"]
        if len(table) > 1:
            extra = ", ".join(repr(key) for key in table if key != "ref")
            help_ = 'for a plain object write {"literal": ...}'
            message = f"{place}: a link has only 'ref', not {extra}; {help_}"
            self.fault("bad_ref", path, message)
        elif isinstance(target, str):
            first, dot, second = target.partition(".")
            if _ID.match(first) and (not dot or _ID.match(second)):
                return _link(first, second)
        if len(table) == 1:
            message = (
                f"{place}: {target!r} is not a link; write 'node', 'node.port' or 'inputs.name'"
            )
            self.fault("bad_ref", path, message)
        return Literal(None, self.base)

    def outputs(self, data: Any) -> dict[str, Ref]:
        found: dict[str, Ref] = {}
        for name, item in self.table(data, ("outputs",), "outputs").items():
            path, place = ("outputs", name), f"outputs.{name}"
            if not self.identifier(name, path, place):
                continue
            before = len(self.problems)
            value = self.value(item, path, place)
            if isinstance(value, Ref):
                found[name] = value
            elif len(self.problems) == before:
                message = f'{place}: not a node\'s output; write {{"ref": "node"}}'
                self.fault("bad_output", path, message)
        return found

    def table(self, data: Any, path: tuple[str | int, ...], place: str) -> dict[str, Any]:
        if is_table(data):
            return data
        self.fault("not_an_object", path, f"{place}: {_kind(data)}; write an object {{...}}")
        return {}

    def text(self, data: Any, path: tuple[str | int, ...], place: str) -> str:
        if isinstance(data, str):
            return data
        self.fault("not_a_string", path, f"{place}: {_kind(data)}; write a string")
        return ""

    def identifier(self, name: str, path: tuple[str | int, ...], place: str) -> bool:
        if _ID.match(name):
            return True
        message = f"{place}: {name!r} is not an id; use letters, digits and _, no digit first"
        self.fault("bad_id", path, message)
        return False

    def known_keys(
        self, table: Mapping[str, Any], known: tuple[str, ...], path: tuple[str, ...], place: str
    ) -> None:
        for key in table:
            if key not in known and key != "$schema":
                help_ = near(key, known) or f"; known are {', '.join(known)}"
                self.fault("unknown_key", (*path, key), f"{place}: unknown key {key!r}{help_}")


def _link(first: str, second: str) -> Value:
    if first == "inputs" and second:
        return InputRef(second)
    return Ref(first, second)


def _is_link(item: Any) -> bool:
    return isinstance(item, dict) and "ref" in item


def _is_number(value: Any, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not whole or (value == int(value) and value >= 0)


def _is_pattern(value: str) -> bool:
    try:
        re.compile(value)
    except re.error:
        return False
    return True


def _kind(data: Any) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean"}
    return "null" if data is None else names.get(type(data).__name__, "a number")


def _version_message(top: dict[str, Any]) -> str:
    if "nodegraph" not in top:
        return f'nodegraph: the version of the format is missing; add "nodegraph": {VERSION}'
    return f"nodegraph: format {top['nodegraph']!r} is not known here; this version reads {VERSION}"
