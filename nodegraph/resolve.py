"""Resolves what stands in a flow to what a node gets: values, paths, models, declared inputs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from os.path import normpath
from pathlib import Path
from typing import Any, cast

from .errors import PackageError
from .families import Family
from .jsontext import is_list
from .models import Models, expanded
from .packages import Packages
from .plan import INPUTS, Source, Step
from .ports import declared_port, port_named
from .reach import Reach
from .spec import InputSpec, NodeSpec, OutputSpec
from .types import PortType, fits
from .values import Misfit, article, conform, expected, near, noun, show
from .workflow import Declaration, InputRef, Literal, Value, Workflow, plain_value

Fault = Callable[[str, tuple[str | int, ...], str], None]


class Resolver:
    """Knows the flow's declared inputs with their values, and where files and models are."""

    def __init__(
        self, flow: Workflow, packages: Packages, models: Models, reach: Reach, fault: Fault
    ) -> None:
        self.flow = flow
        self.packages = packages
        self.models = models
        self.reach = reach
        self.fault = fault
        self.values: dict[str, Literal] = {}
        self.types: dict[str, PortType] = {}
        self.suffixes: dict[str, list[str]] = {}
        self.linked: frozenset[str] = frozenset()
        self.pending: frozenset[str] = frozenset()
        self.used: set[str] = set()
        self.among = {entry.package for entry in flow.nodes.values() if entry.package}
        """Packages whose port types are known, those of flows within too."""
        self.reads: dict[str, Step] = {}
        self.files: dict[str, Path] = {}
        self.folders: dict[str, Path] = {}
        self.families: dict[str, dict[str, Family]] = {}

    # Declared inputs

    def choose(
        self,
        given: Mapping[str, Literal],
        linked: Iterable[str] = (),
        pending: Iterable[str] = (),
        *,
        running: bool = False,
    ) -> None:
        """Take each declared input's value: the one that is given, else its default.

        Args:
            linked: inputs whose values come when the flow runs.
            pending: inputs whose values are not given yet.
        """
        self.linked = frozenset(linked)
        self.pending = frozenset(pending)
        known = ", ".join(self.flow.inputs) or "none"
        for name in given:
            if name not in self.flow.inputs:
                help_ = near(name, self.flow.inputs) or f"; its inputs are {known}"
                message = f"inputs.{name}: the flow declares no such input{help_}"
                self.fault("unknown_flow_input", ("inputs",), message)
        for name, declared in self.flow.inputs.items():
            value = given.get(name, declared.default)
            if name in self.linked or name in self.pending:
                continue
            if value is not None:
                self.values[name] = value
                self.conform_input(name)
            elif running:
                message = f"inputs.{name}: has no value; give {_wanted(declared)}"
                self.fault("missing_value", ("inputs", name), message)

    def is_pending(self, value: Value) -> bool:
        """Say whether a value is a declared input that is neither given nor comes from a node."""
        if not isinstance(value, InputRef):
            return False
        return value.name not in self.values and value.name not in self.linked

    def bind_types(self) -> None:
        """Find the port classes that declared inputs name."""
        for name, declared in self.flow.inputs.items():
            type_ = self.port_type(declared) if declared.type.kind == "port" else declared.type
            if type_ is not None and type_.kind != "unknown":
                self.types[name] = type_

    def conform_input(self, name: str) -> None:
        """Bring the value of an input into its type; one that does not fit is told and dropped."""
        value, type_ = self.values[name], self.types.get(name)
        if type_ is None or type_.kind in ("port", "file"):
            return
        try:
            self.values[name] = replace(value, value=conform(value.value, type_))
        except Misfit as misfit:
            self.fault(misfit.code, ("inputs", name), f"inputs.{name}: {misfit}")
            del self.values[name]

    def port_type(self, declared: Declaration) -> PortType | None:
        """Find a port type by name among the packages that the flow uses."""
        package, _, name = declared.type.name.rpartition(".")
        found: dict[str, list[str]] = {}
        known: set[str] = set()
        for used in sorted(self.among):
            for identity, port in self.ports(used).items():
                known.add(port["name"])
                if port["name"] == name and self.owned(identity, package):
                    found[identity] = port["suffixes"] if "read" in port["can"] else []
        place = f"inputs.{declared.name}"
        if len(found) == 1:
            identity, suffixes = found.popitem()
            self.suffixes[declared.name] = suffixes
            return replace(declared.type, port=identity, name=name)
        if found:
            sides = " and ".join(sorted(identity.partition(":")[0] for identity in found))
            message = f"{place}: type {name!r} is in {sides}; write it as 'package.{name}'"
        else:
            help_ = near(name, known) or "; no package that this flow uses has one"
            message = f"{place}: unknown type {declared.type.name!r}{help_}"
        self.fault("unknown_type", ("inputs", declared.name, "type"), message)
        return None

    def ports(self, package: str) -> dict[str, dict[str, Any]]:
        try:
            return self.packages.manifest(package).ports
        except (PackageError, KeyError):
            return {}  # the nodes of this package have been reported

    def owned(self, identity: str, package: str) -> bool:
        if not package:
            return True
        owners = self.packages.entries.get(package, ())
        return any(owner.kinship(identity) for owner in owners)

    def declaration(self, name: str) -> Declaration:
        """Return a declared input.

        Raises:
            Misfit: the flow declares no such input.
        """
        if name not in self.flow.inputs:
            known = ", ".join(self.flow.inputs) or "none"
            help_ = near(name, self.flow.inputs) or f"; declared are {known}"
            raise Misfit("dangling_ref", f"no declared input {name!r}{help_}")
        self.used.add(name)
        return self.flow.inputs[name]

    def input(self, name: str, wanted: PortType, place: str) -> Any:
        """Return the value of a declared input for a port, or the Source that reads it.

        Raises:
            Misfit: there is no such input, or its type or value does not fit the port.
        """
        self.declaration(name)
        type_ = self.types.get(name)
        if type_ is None:
            return None  # the declaration itself has been reported
        if not fits(type_, wanted, declared=True):
            message = f"takes {noun(wanted)}, but 'inputs.{name}' is declared as {noun(type_)}"
            raise Misfit("type_mismatch", f"{message}; declare it otherwise")
        if name in self.linked:
            if not fits(type_, wanted):
                message = f"takes {noun(wanted)} that is known before the run"
                said = f"but 'inputs.{name}' comes from a node; write the value down"
                raise Misfit("late_value", f"{message}, {said}")
            return Source(INPUTS, name)
        if name not in self.values:
            return None  # only a check, or reported
        if type_.kind == "port":
            return self.port_value(name, type_)
        try:
            return self.literal(self.values[name], wanted, place)
        except Misfit as misfit:
            raise Misfit(misfit.code, f"{misfit} (from inputs.{name})") from misfit

    def port_value(self, name: str, type_: PortType) -> Any:
        """Return a value given from Python as it is, or a step that reads it from a file."""
        literal = self.values[name]
        if not isinstance(literal.value, str | Path):
            return conform(literal.value, type_)
        step = f"inputs.{name}"
        if step not in self.reads:
            try:
                self.files[step] = self.readable(name, type_)
                self.reads[step] = _read_step(step, self.files[step], type_)
            except Misfit as misfit:
                self.fault(misfit.code, ("inputs", name), f"{step}: {misfit}")
                del self.values[name]
                return None
        return Source(step)

    def readable(self, name: str, type_: PortType) -> Path:
        suffixes = self.suffixes[name]
        if not suffixes:
            raise Misfit(
                "unreadable_type", f"{noun(type_)} cannot be read from a file; link a node"
            )
        path = self.path(self.values[name], PortType("file"))
        if path.suffix.lower() not in suffixes:
            named, listed = path.name or str(path), ", ".join(suffixes)
            message = f"{named!r} is not a file that {noun(type_)} is read from; use {listed}"
            raise Misfit("wrong_file", message)
        if not path.is_file():
            raise Misfit("wrong_file", f"{str(path)!r} is a directory; give a file")
        return path

    def notes(self) -> list[str]:
        """Say which declared inputs nothing uses."""
        idle = [name for name in self.flow.inputs if name not in self.used]
        return [f"inputs.{name}: no node uses it" for name in idle]

    def shown(self) -> dict[str, Any]:
        """Return the declared inputs' values as plain data, as far as they are plain."""
        values = {name: literal.value for name, literal in self.values.items()}
        return {name: plain_value(v) for name, v in values.items() if not _holds_port(v)}

    # Literals

    def literal(self, literal: Literal, type_: PortType, place: str) -> Any:
        """Return what a node gets for a literal.

        Raises:
            Misfit: it does not fit, or names a file or model that is not there.
        """
        value = conform(literal.value, type_)
        if type_.kind == "list" and type_.item and type_.item.kind == "file":
            items = enumerate(cast("list[Any]", value))
            item = type_.item
            return [
                self.literal(replace(literal, value=each), item, f"{place}[{index}]")
                for index, each in items
            ]
        if type_.kind != "file" or value is None:
            return value
        if type_.model:
            return self.model(literal, type_, place)
        path = self.path(literal, type_)
        if not type_.destination:
            (self.files if path.is_file() else self.folders)[place] = path
        return path

    def path(self, literal: Literal, type_: PortType) -> Path:
        """Return an absolute path; it must exist unless the node writes it."""
        conform(literal.value, type_)
        path = Path(normpath((literal.base / expanded(literal.value)).absolute()))
        self.reach.need(path, literal, written=type_.destination)
        try:
            if type_.destination or path.is_file() or path.is_dir():
                return path
            if path.exists():
                raise Misfit(
                    "wrong_file", f"{show(literal.value)} is a device or pipe; give a file"
                )
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        except OSError as error:
            raise Misfit("missing_file", f"{show(literal.value)}: {error.strerror}") from error
        help_ = near(path.name, siblings) or f"; looked in {path.parent}"
        raise Misfit("missing_file", f"no file {show(literal.value)}{help_}")

    def model(self, literal: Literal, type_: PortType, place: str) -> Path:
        """Return a model's path, after asking what the file holds."""
        path = self.models.resolve(str(literal.value), literal.base)
        if not self.models.own(path):
            self.reach.need(path, literal)
        held = self.models.holds(path)
        self.files[place] = path
        if held is None:
            return path
        kinds = held.get("kinds") or [held["kind"]]
        if type_.model not in kinds:
            holds = " and ".join(map(article, kinds))
            message = f"{path.name!r} holds {holds}, not {article(type_.model)}"
            raise Misfit("wrong_model", f"{message}; name another file")
        if type_.family and held.get("family"):
            node, _, port = place.partition("[")[0].partition(".")
            found = Family(held["family"], path.name)
            self.families.setdefault(node, {})[port] = found
        return path


def _holds_port(value: Any) -> bool:
    """Say whether a value that came from Python is, or is a list of, what JSON cannot hold."""
    return any(map(_holds_port, value)) if is_list(value) else declared_port(value) is not None


def _wanted(declared: Declaration) -> str:
    if declared.type.kind == "port":
        return f"--{declared.name} FILE, a file that {declared.type.name} is read from"
    return f"--{declared.name}, {expected(declared.type)}"


def _read_step(step: str, path: Path, type_: PortType) -> Step:
    spec = NodeSpec(
        name="read",
        inputs={"path": InputSpec("path", PortType("file"))},
        outputs={"output": OutputSpec("output", type_)},
        device="cpu",
    )
    return Step(step, f"read {type_.name}", spec, partial(_reader, type_.port), {"path": path})


def _reader(port: str) -> Callable[..., Any]:
    return port_named(port).codec.read
