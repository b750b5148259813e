"""Reads a workflow file, and says everything in it that is not in form."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeGuard

from . import jsontext
from .errors import Problem
from .jsontext import is_list, is_table
from .types import LIMITS, PortType
from .values import is_json, near, show
from .workflow import (
    VERSION,
    Declaration,
    Entry,
    InputRef,
    Literal,
    Ref,
    Several,
    Unreadable,
    Value,
    Workflow,
)

_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")  # outputs become file names
_REF: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\.([A-Za-z_][A-Za-z0-9_]*))?\Z")
_TYPE: Final = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)(?:@([1-9][0-9]{0,8}))?\Z", re.ASCII)
_KINDS: Final = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
    "string": "string",
    "array": "list",
    "object": "object",
    "file": "file",
}
_TOP: Final = (
    "nodegraph", "title", "description", "requires", "inputs", "nodes", "outputs", "ui", "$schema",
)  # fmt: skip
_NODE: Final = ("type", "flow", "inputs", "map", "when", "title", "description", "ui")
_INPUT: Final = ("type", "default", "title", "description", "enum", *LIMITS)

Path_ = tuple[str | int, ...]


def load(path: str | Path) -> Workflow:
    """Read a workflow file.

    Raises:
        WorkflowError: it cannot be read, or is not strict JSON.
    """
    path = Path(path)
    data = jsontext.parse(jsontext.read_text(path), path.name)
    flow = _Reader(path.absolute().parent).workflow(data, name_of(path))
    return replace(flow, file=path.resolve())


def name_of(path: Path) -> str:
    """Return the name of a flow, which becomes a folder of its own, from that of its file."""
    return path.stem if path.stem.strip(".") else "workflow"


def from_data(data: Any, *, name: str = "workflow", base: Path | None = None) -> Workflow:
    """Read a workflow from parsed JSON; its relative paths start at `base`."""
    data = _as_json(data)
    reader = _Reader(base or Path.cwd())
    if is_json(data):
        return reader.workflow(data, name)
    message = f"{name}: holds what JSON cannot: keys that are no text, NaN, or other types"
    problem = Problem("not_json", "", message)
    return replace(reader.workflow({}, name), problems=(problem,))


def _as_json(data: Any, depth: int = 0) -> Any:
    """Return lists in the place of tuples, which Python knows and JSON does not."""
    if depth > jsontext.MAX_DEPTH:
        return data
    if is_table(data):
        return {key: _as_json(value, depth + 1) for key, value in data.items()}
    return [_as_json(item, depth + 1) for item in data] if _is_row(data) else data


def _is_row(data: object) -> TypeGuard[list[Any]]:
    return isinstance(data, list | tuple)


class _Reader:
    """Collects problems while it reads, so that all are told at once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[Problem] = []

    def fault(self, code: str, path: Path_, message: str) -> None:
        if len(self.problems) <= jsontext.MOST:  # one more says that there are more
            self.problems.append(Problem.at(code, path, message))

    def workflow(self, data: Any, name: str) -> Workflow:
        top = self.table(data, (), "the workflow")
        if is_table(data):
            self.head(top)
        inputs = dict(self.declarations(top.get("inputs", {})))
        nodes = dict(self.entries(top.get("nodes", {})))
        outputs = dict(self.outputs(top.get("outputs", {})))
        title = self.text(top, "title", (), "the workflow")
        requires = self.table(top.get("requires", {}), ("requires",), "requires")
        ranges = {key: self.text(requires, key, ("requires",), "requires") for key in requires}
        problems = tuple(self.problems)
        return Workflow(name, self.base, title, ranges, inputs, nodes, outputs, top, problems)

    def head(self, top: dict[str, Any]) -> None:
        """Look at the version of the format, the keys, and whether there are nodes."""
        version = top.get("nodegraph")
        if isinstance(version, bool) or version != VERSION:
            said = f"format {version!r} is not known here; this version reads {VERSION}"
            lacking = f'the version of the format is missing; add "nodegraph": {VERSION}'
            message = f"nodegraph: {said if 'nodegraph' in top else lacking}"
            self.fault("bad_version", ("nodegraph",), message)
        self.known_keys(top, _TOP, (), "the workflow")
        if top.get("nodes", {}) == {}:
            self.fault("no_nodes", ("nodes",), "nodes: there are none; add at least one node")

    # Declared inputs

    def declarations(self, data: Any) -> Iterator[tuple[str, Declaration]]:
        for name, table in self.named(data, "inputs"):
            path, place = ("inputs", name), f"inputs.{name}"
            self.known_keys(table, _INPUT, path, place)
            kind = self.text(table, "type", path, place)
            if not kind:
                known = ", ".join(_KINDS)
                message = f"{place}: has no type; give one of {known} or a port type"
                self.fault("bad_declaration", (*path, "type"), message)
            about = self.text(table, "description", path, place)
            default = Literal(table["default"], self.base, True) if "default" in table else None
            type_ = self.declared_type(kind, table, path, place)
            yield name, Declaration(name, type_, about, default)

    def declared_type(self, kind: str, table: dict[str, Any], path: Path_, place: str) -> PortType:
        nullable = "default" in table and table["default"] is None
        limits: dict[str, Any] = {}
        for word in (*LIMITS, "enum"):
            if word in table and not _is_limit(word, table[word], kind):
                message = f"{place}.{word}: {show(table[word])} cannot be used here"
                self.fault("bad_declaration", (*path, word), message)
            elif word in table:
                limits[word] = table[word]
        choices = limits.pop("enum", ())
        if choices:
            return PortType("choice", nullable, choices=tuple(choices))
        if kind in _KINDS:
            return PortType(_KINDS[kind], nullable, limits)
        return PortType("port" if kind else "unknown", nullable, name=kind)

    # Nodes

    def entries(self, data: Any) -> Iterator[tuple[str, Entry]]:
        for name, table in self.named(data, "nodes"):
            path = ("nodes", name)
            if name == "inputs":
                self.fault("bad_id", path, "nodes: the id 'inputs' is reserved; choose another")
            self.known_keys(table, _NODE, path, name)
            package, function, version = self.node_type(table, path, name)
            values = self.table(table.get("inputs", {}), (*path, "inputs"), f"{name}.inputs")
            inputs = {
                port: self.value(value, (*path, "inputs", port), f"{name}.{port}")
                for port, value in values.items()
            }
            yield (
                name,
                Entry(
                    *(name, package, function, version, inputs),
                    flow=self.text(table, "flow", path, name),
                    mapped=self.mapped(table, path, name),
                    when=self.value(table["when"], (*path, "when"), f"{name}.when")
                    if "when" in table
                    else None,
                ),
            )

    def node_type(
        self, table: dict[str, Any], path: Path_, name: str
    ) -> tuple[str, str, int | None]:
        """Return package, function and version; all empty for a flow."""
        match = _TYPE.match(str(table.get("type", "")))
        if "flow" in table:
            if "type" in table:
                message = f"{name}: has both 'type' and 'flow'; a node is one of them, remove one"
                self.fault("bad_type", (*path, "flow"), message)
            if table["flow"] == "":
                self.fault("bad_type", (*path, "flow"), f"{name}: flow is empty; name its file")
        elif match is None:
            said = repr(table["type"]) if "type" in table else "missing"
            message = f"{name}: type is {said}; write 'package.function', such as 'image.load'"
            self.fault("bad_type", (*path, "type"), message)
        else:
            package, function, version = match.groups()
            return package, function, int(version) if version else None
        return "", "", None

    def mapped(self, table: dict[str, Any], path: Path_, name: str) -> tuple[str, ...]:
        """Return the inputs over which a node is mapped."""
        ports = table.get("map", [])
        if not is_list(ports) or ("map" in table and not ports):
            said = "is empty" if is_list(ports) else f"is {_kind(ports)}"
            message = f"{name}: 'map' {said}; write a list of the node's inputs"
            self.fault("bad_map", (*path, "map"), message)
            return ()
        inputs = table.get("inputs")
        given = list(inputs) if is_table(inputs) else []
        known = [port for port in ports if port in given]
        for index, port in enumerate(ports):
            if port not in known or ports.index(port) < index:
                said = "stands there twice" if port in known else "is not given under 'inputs'"
                message = f"{name}: is mapped over {port!r}, which {said}; mend the list"
                self.fault("bad_map", (*path, "map", index), message)
        return tuple(dict.fromkeys(known))

    def value(self, data: Any, path: Path_, place: str) -> Value:
        if is_list(data) and any(is_table(item) and "ref" in item for item in data):
            items = enumerate(data)
            return Several(tuple(self.value(v, (*path, i), f"{place}[{i}]") for i, v in items))
        if is_table(data) and "ref" in data:
            return self.ref(data, path, place)
        if is_table(data) and set(data) == {"literal"}:
            return Literal(data["literal"], self.base, True)
        return Literal(data, self.base, True)

    def ref(self, table: dict[str, Any], path: Path_, place: str) -> Value:
        target = table["ref"]
        match = _REF.match(target) if isinstance(target, str) else None
        if len(table) > 1:
            extra = ", ".join(repr(key) for key in table if key != "ref")
            help_ = 'for a plain object write {"literal": ...}'
            self.fault("bad_ref", path, f"{place}: a link has only 'ref', not {extra}; {help_}")
        elif match is None:
            help_ = "write 'node', 'node.port' or 'inputs.name'"
            self.fault("bad_ref", path, f"{place}: {target!r} is not a link; {help_}")
        else:
            node, port = match.group(1), match.group(2) or ""
            return InputRef(port) if node == "inputs" and port else Ref(node, port)
        return Unreadable()

    def outputs(self, data: Any) -> Iterator[tuple[str, Ref]]:
        for name, item in self.table(data, ("outputs",), "outputs").items():
            path, place = ("outputs", name), f"outputs.{name}"
            if not self.identifier(name, path, "outputs"):
                continue
            value = self.value(item, path, place)
            if isinstance(value, Ref):
                yield name, value
            elif not isinstance(value, Unreadable):
                message = f'{place}: not a node\'s output; write {{"ref": "node"}}'
                self.fault("bad_output", path, message)

    # Forms

    def named(self, data: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the objects of an object by their ids."""
        for name, item in self.table(data, (place,), place).items():
            if self.identifier(name, (place, name), place):
                table = self.table(item, (place, name), f"{place}.{name}")
                if is_table(item):
                    yield name, table

    def table(self, data: Any, path: Path_, place: str) -> dict[str, Any]:
        if is_table(data):
            return data
        self.fault("not_an_object", path, f"{place}: is {_kind(data)}; write an object {{...}}")
        return {}

    def text(self, table: dict[str, Any], key: str, path: Path_, place: str) -> str:
        data = table.get(key, "")
        if isinstance(data, str):
            return data
        message = f"{place}: {key!r} is {_kind(data)}; write a string"
        self.fault("not_a_string", (*path, key), message)
        return ""

    def identifier(self, name: str, path: Path_, place: str) -> bool:
        if _ID.match(name):
            return True
        if len(name) > 100:
            message = f"{place}: {name!r} is too long for an id; use at most 100 characters"
        else:
            message = f"{place}: {name!r} is not an id; use letters, digits and _, no digit first"
        self.fault("bad_id", path, message)
        return False

    def known_keys(
        self, table: Mapping[str, Any], known: tuple[str, ...], path: Path_, place: str
    ) -> None:
        for key in table:
            if key not in known:
                help_ = near(key, known) or f"; known are {', '.join(known)}"
                self.fault("unknown_key", (*path, key), f"{place}: unknown key {key!r}{help_}")


def _is_limit(word: str, value: Any, kind: str) -> bool:
    """Say whether a value can stand after a word such as `minimum` or `enum`, for this type."""
    if word == "enum":
        return is_list(value) and bool(value)
    wanted = "string" if word.endswith("Length") or word == "pattern" else "array"
    if not word.endswith(("Length", "Items")) and word != "pattern":
        wanted = "number"
    if wanted != ("number" if kind == "integer" else kind):
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if word.endswith(("Length", "Items")):
        return isinstance(value, int) and value >= 0
    return abs(value) < 1e300 and (word != "multipleOf" or value > 1e-300)


def _kind(data: Any) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean"}
    return "null" if data is None else names.get(type(data).__name__, "a number")
