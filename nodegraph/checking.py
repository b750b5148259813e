"""Compares a workflow with what is installed: every problem at once, or the plan of its run."""

import gc
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeGuard

from .errors import PackageError, Problem
from .families import Family, agree, letter
from .links import Links
from .models import Models
from .packages import Packages
from .plan import INPUTS, Plan, Source, Step, cycles, in_order, make_plan, needed
from .requirements import unmet
from .resolve import Fault, Resolver
from .shelf import Shelf
from .spec import InputSpec, NodeSpec, OutputSpec
from .types import PortType
from .values import Misfit, conform, expected, near
from .workflow import Declaration, Entry, InputRef, Literal, Several, Value, Workflow

MOST: Final = 200
"""Problems of a flow that are looked for; each may cost a search for near names."""


class _Enough(Exception):
    """There are so many problems that the rest is not looked for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found: problems, notes that stop nothing, the plan if there is no problem."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    plan: Plan | None = None
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    files: dict[str, Path] = field(default_factory=dict[str, Path])
    """Files that are read by `node.port` or `inputs.name`, in a flow within by `node/node.port`."""
    flows: dict[str, Workflow] = field(default_factory=dict[str, Workflow])
    """Flows within, by the nodes in whose place they stand, such as `prepare/inner`."""


def check_workflow(
    flow: Workflow,
    given: Mapping[str, Literal],
    packages: Packages,
    models: Models,
    allowed: Iterable[Path] = (),
    *,
    running: bool = False,
) -> Checked:
    """Find everything that is wrong with a workflow, without importing a node's code.

    Args:
        given: values of declared inputs.
        allowed: files and folders, besides the flow's own, that paths in it may lead to.
        running: the values are complete: a declared input without one is a problem.
    """
    problems = list(flow.problems[:MOST])

    def fault(code: str, path: tuple[str | int, ...], message: str) -> None:
        if len(problems) >= MOST:
            raise _Enough
        problems.append(Problem.at(code, path, message))

    shelf = Shelf.around(flow, packages, models, allowed)
    checker = Checker(flow, shelf, fault)
    with _no_collection():
        try:
            if len(flow.problems) > MOST:
                raise _Enough
            checker.look_up()
            checker.complete(given, running=running)
            checker.families({})
        except _Enough:
            said = f"there are more problems than {MOST}; mend these first"
            return Checked((*problems[:MOST], Problem("too_many", "", said)))
        return Checked(tuple(problems)) if problems else _result(checker)


def port_types(
    flow: Workflow, packages: Packages, models: Models, allowed: Iterable[Path] = ()
) -> dict[str, PortType]:
    """Return the types of all inputs of a flow's nodes by `node.port`, as far as they are known."""
    shelf = Shelf.around(flow, packages, models, allowed)
    checker = Checker(flow, shelf, lambda code, path, message: None)
    checker.look_up()
    return {
        f"{node}.{port}": known.type
        for node, spec in checker.specs.items()
        for port, known in spec.inputs.items()
    }


@contextmanager
def _no_collection() -> Generator[None, None, None]:
    """Hold the collector of cycles, which would walk a large flow again and again for nothing."""
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


def _result(checker: "Checker") -> Checked:
    inner = dict(checker.inner())
    files = {f"{path}/{k}": file for path, c in inner.items() for k, file in c.files.items()}
    return Checked(
        problems=(),
        notes=tuple(checker.notes()),
        plan=checker.plan(checker.ends),
        inputs=checker.resolver.shown(),
        files={**checker.files, **files},
        flows={path: each.flow for path, each in inner.items()},
    )


class Checker:
    """Compares one flow with what is installed; `fault` hears what is wrong.

    First `look_up`, which finds the specifications of its nodes and so its own; then `complete`,
    with the values that it is given, which binds all inputs; then `families` and `plan`.
    """

    def __init__(self, flow: Workflow, shelf: Shelf, fault: Fault) -> None:
        self.flow = flow
        self.shelf = shelf
        self.fault = fault
        self.specs: dict[str, NodeSpec] = {}
        self.steps: dict[str, Step] = {}
        self.ends: dict[str, Source] = {}
        self.children: dict[str, Checker] = {}
        self.resolver = Resolver(flow, shelf.packages, shelf.models, shelf.reach, fault)
        self.links = Links(flow, self.specs, self.resolver, fault)
        self.knotted = False

    @property
    def files(self) -> dict[str, Path]:
        """Model files by `node.port`."""
        return self.resolver.files

    def inner(self) -> "Iterator[tuple[str, Checker]]":
        """Yield the flows within, and those within these, by the nodes in whose place they are."""
        for id_, child in self.children.items():
            yield id_, child
            for path, each in child.inner():
                yield f"{id_}/{path}", each

    # Specifications

    def look_up(self) -> None:
        """Find the specification of every node that has one."""
        for code, where, message in unmet(self.flow.requires):
            self.fault(code, where, message)
        typed = [entry for entry in self.flow.nodes.values() if entry.package]
        self.shelf.packages.read({entry.package for entry in typed})
        for entry in self.flow.nodes.values():
            spec = self._flow_spec(entry) if entry.flow else self._node_spec(entry)
            if spec is not None:
                self.specs[entry.id] = _mapped(spec, entry.mapped) if entry.mapped else spec
        self.resolver.bind_types()

    def _node_spec(self, entry: Entry) -> NodeSpec | None:
        path = ("nodes", entry.id, "type")
        try:
            return self._installed(entry, path) if entry.package else None
        except PackageError as error:
            self.fault("broken_package", path, f"{entry.id}: {error}")
            return None

    def _installed(self, entry: Entry, path: tuple[str, ...]) -> NodeSpec | None:
        packages = self.shelf.packages
        if entry.package not in packages.entries:
            known = packages.names
            help_ = near(entry.package, known) or f"; installed are {', '.join(known) or 'none'}"
            message = (
                f"{entry.id}: no package {entry.package!r} is installed for {entry.type!r}{help_}"
            )
            self.fault("unknown_package", path, message)
            return None
        manifest = packages.manifest(entry.package)
        if entry.function not in manifest.nodes:
            help_ = near(entry.function, manifest.nodes)
            help_ = help_ or f"; see 'nodegraph nodes {entry.package}'"
            message = f"{entry.id}: package {entry.package!r} has no node {entry.function!r}{help_}"
            self.fault("unknown_node", path, message)
            return None
        spec = manifest.spec(entry.function)
        if entry.version not in (None, spec.version):
            message = (
                f"{entry.id}: version {entry.version} of {entry.type!r} is not installed, "
                f"{spec.version} is; read its page and change the number"
            )
            self.fault("node_version", path, message)
        return spec

    def _flow_spec(self, entry: Entry) -> NodeSpec | None:
        """Look up the flow that stands in the place of a node."""
        path = ("nodes", entry.id, "flow")
        try:
            shelf, flow = self.shelf.flow(Literal(entry.flow, self.flow.base, True), self.resolver)
        except Misfit as misfit:
            self.fault(misfit.code, path, f"{entry.id}: {misfit}")
            return None

        def fault(code: str, _: tuple[str | int, ...], message: str) -> None:
            self.fault(code, path, f"{entry.id} ({entry.flow}): {message}")

        for problem in flow.problems:
            fault(problem.code, (), problem.message)
        child = self.children[entry.id] = Checker(flow, shelf, fault)
        child.look_up()
        return child.spec(entry.flow)

    def spec(self, name: str) -> NodeSpec:
        """Say what this flow is as a node."""
        return NodeSpec(
            name=name,
            inputs={
                name: _flow_input(declared, self.resolver.types.get(name, _UNKNOWN))
                for name, declared in self.flow.inputs.items()
            },
            outputs={n: OutputSpec(n, self._output_type(n)) for n in self.flow.outputs},
            sink=any(spec.sink for spec in self.specs.values()),
        )

    def _output_type(self, name: str) -> PortType:
        try:
            return self.links.source(self.flow.outputs[name])[1] or _UNKNOWN
        except Misfit:
            return _UNKNOWN  # told when the outputs are bound

    # Inputs of nodes

    def complete(
        self,
        given: Mapping[str, Literal],
        *,
        linked: Iterable[str] = (),
        pending: Iterable[str] = (),
        running: bool = False,
    ) -> None:
        """Bind every input of every node.

        Args:
            given: values that are known now.
            linked: inputs whose values come when the flow runs.
            pending: inputs that stand for a declared input without a value, in a check only.
            running: a declared input without a value is a problem.
        """
        self.resolver.choose(given, linked, pending, running=running)
        for entry in self.flow.nodes.values():
            self._node(entry)
        for name, ref in self.flow.outputs.items():
            try:
                self.ends[name] = self.links.source(ref)[0]
            except Misfit as misfit:
                self.fault(misfit.code, ("outputs", name), f"outputs.{name}: {misfit}")
        self._names()
        known = len(self.specs) == len(self.flow.nodes) and not self.flow.problems
        sinks = any(spec.sink for spec in self.specs.values())
        if known and not self.flow.outputs and not sinks:
            message = "outputs: there are none and no node is a sink; add an output"
            self.fault("nothing_to_do", ("outputs",), message)
        for cycle in cycles(self.steps):
            walk = " -> ".join([*cycle, cycle[0]])
            message = f"{cycle[0]}: a cycle, {walk}; remove one link"
            self.fault("cycle", ("nodes", cycle[0]), message)
            self.knotted = True

    def _names(self) -> None:
        """Report outputs whose files could have one name."""
        names = {name.casefold(): name for name in reversed(self.flow.outputs)}
        for name in self.flow.outputs:
            numbered = re.fullmatch(r"(.+)_[0-9]{4,}", name.casefold())
            other = names[name.casefold()]
            if other == name and numbered:
                other = names.get(numbered[1], name)
            if other != name:
                message = f"outputs.{name}: its file could be one of {other!r}; rename one of them"
                self.fault("clashing_outputs", ("outputs", name), message)

    def _node(self, entry: Entry) -> None:
        spec = self.specs.get(entry.id)
        if spec is None:
            for port, value in entry.inputs.items():
                path = ("nodes", entry.id, "inputs", port)
                self.links.dangling(value, path, f"{entry.id}.{port}")
            self.links.dangling(entry.when, ("nodes", entry.id, "when"), f"{entry.id}.when")
            return
        function = None
        if not entry.flow:
            function = partial(self.shelf.packages.package(entry.package).function, entry.function)
        when = self._when(entry)
        step = Step(entry.id, entry.type, spec, function, when=when, mapped=entry.mapped)
        if entry.flow:
            self._hand_over(entry, step)
        else:
            for port, value in entry.inputs.items():
                self._bind(step, port, value)
        for name, wanted in spec.inputs.items():
            if name not in entry.inputs:
                self._absent(entry, step, wanted)
        if entry.mapped and not entry.flow:
            step = replace(step, body=self._mapped_body(entry, step))
        self.steps[entry.id] = step

    def _when(self, entry: Entry) -> Source | bool:
        if entry.when is None:
            return True
        try:
            bound = self.links.bound(entry.when, PortType("boolean"), f"{entry.id}.when")
        except Misfit as misfit:
            message = f"{entry.id}.when: {misfit}"
            self.fault(misfit.code, ("nodes", entry.id, "when"), message)
            return True
        return True if bound is None else bound

    def _bind(self, step: Step, port: str, value: Value) -> bool:
        """Give a step what stands in one of its inputs, as a constant or a link."""
        path = ("nodes", step.id, "inputs", port)
        place = f"{step.id}.{port}"
        known = step.spec.inputs
        if port not in known:
            help_ = near(port, known) or f"; it takes {', '.join(known) or 'nothing'}"
            self.fault("unknown_input", path, f"{place}: {step.type!r} has no such input{help_}")
            self.links.dangling(value, path, place)
            return False
        try:
            bound = self.links.bound(value, known[port].type, place)
        except Misfit as misfit:
            self.fault(misfit.code, path, f"{place}: {misfit}")
            return False
        linked = isinstance(bound, Source) or isinstance(value, Several)
        (step.links if linked else step.constants)[port] = bound
        return True

    def _absent(self, entry: Entry, step: Step, port: InputSpec) -> None:
        """Report an input that has to be given; resolve a model that is the default."""
        if entry.flow and self.children[entry.id].flow.inputs[port.name].default is not None:
            return
        if port.required and not _knows_not(port.type):
            message = f"{step.id}: input {port.name!r} is missing; give {expected(port.type)}"
            self.fault("missing_input", ("nodes", step.id, "inputs"), message)
        elif port.type.model and port.default is not None:
            self._bind(step, port.name, Literal(port.default, self.flow.base))

    def _mapped_body(self, entry: Entry, group: Step) -> Plan:
        """Return the plan of a mapped node for one item: a single step without an id."""
        spec = self.shelf.packages.spec(entry.package, entry.function)
        taken = {port: Source(INPUTS, port) for port in (*group.constants, *group.links)}
        step = Step("", entry.type, spec, group.function, links=dict(taken))
        return make_plan({"": step}, {port: Source("", port) for port in spec.outputs})

    def _hand_over(self, entry: Entry, step: Step) -> None:
        """Give a flow within its inputs: values that are known now, links for the others."""
        given: dict[str, Literal] = {}
        for port, value in entry.inputs.items():
            type_ = step.spec.inputs[port].type if port in step.spec.inputs else _UNKNOWN
            if port in step.spec.inputs and _knows_not(type_):
                path = ("nodes", entry.id, "inputs", port)
                self.links.dangling(value, path, f"{entry.id}.{port}")
                continue
            if _names_a_file(value, type_):
                given[port] = value  # where it is read, it is looked for
                continue
            if not self._bind(step, port, value) or port in entry.mapped or port in step.links:
                continue
            step.constants.pop(port)
            known = self.resolver.values.get(value.name) if isinstance(value, InputRef) else value
            if isinstance(known, Literal):
                given[port] = known
        linked = [port for port in entry.inputs if port not in given]
        pending = [port for port in linked if self.resolver.is_pending(entry.inputs[port])]
        linked = [port for port in linked if port not in pending]
        self.children[entry.id].complete(given, linked=linked, pending=pending)

    # The whole

    def families(self, arriving: Mapping[str, Family]) -> dict[str, Family]:
        """Carry families along the links, and report ports of a node that do not agree.

        Returns:
            The families of the flow's outputs.
        """
        if self.knotted:
            return {}
        carried = {Source(INPUTS, name): family for name, family in arriving.items()}
        for step in in_order(self.steps):
            found = list(self.resolver.families.get(step.id, {}).items())
            for port, bound in step.links.items():
                sources = bound if isinstance(bound, list) else (bound,)
                found += [(port, carried[s]) for s in sources if s in carried]
            if step.id in self.children:
                outputs = self.children[step.id].families(dict(found))
            else:
                known = [each for each in found if letter(step.spec.inputs[each[0]].type)]
                outputs, clashes = agree(step.id, step.spec, known)
                for port, message in clashes.items():
                    self.fault("family_mismatch", ("nodes", step.id, "inputs", port), message)
            carried.update({Source(step.id, port): family for port, family in outputs.items()})
        return {name: carried[source] for name, source in self.ends.items() if source in carried}

    def notes(self) -> Iterator[str]:
        """Say what does not run, and what is not used."""
        wanted = needed({**self.resolver.reads, **self.steps}, self.ends)
        for step in self.steps:
            if step not in wanted:
                yield f"{step}: no output needs it; it does not run"
        yield from self.resolver.notes()

    def plan(self, ends: Mapping[str, Source]) -> Plan:
        """Return the plan for some outputs; flows within run for what is needed of them."""
        steps = {**self.resolver.reads, **self.steps}
        wanted = needed(steps, ends)
        used = set(ends.values())
        used.update(source for id_ in wanted for source in steps[id_].sources)
        for id_, child in self.children.items():
            if id_ in wanted:
                taken = {n: end for n, end in child.ends.items() if Source(id_, n) in used}
                steps[id_] = replace(steps[id_], body=child.plan(taken))
        return make_plan(steps, ends)


_UNKNOWN: Final = PortType("unknown")


def _mapped(spec: NodeSpec, ports: Iterable[str]) -> NodeSpec:
    """Return a specification that takes lists at some ports, and so gives lists."""
    inputs = dict(spec.inputs)
    for port in set(ports) & set(inputs):
        item = inputs[port].type
        inputs[port] = replace(inputs[port], type=PortType("list", item=item), required=True)
    outputs = {n: replace(o, type=PortType("list", item=o.type)) for n, o in spec.outputs.items()}
    return replace(spec, inputs=inputs, outputs=outputs)


def _flow_input(declared: Declaration, type_: PortType) -> InputSpec:
    """Describe an input of a flow within.

    Where a node that is linked to it is skipped, a default takes its place if it is plain data.
    """
    plain = declared.default is not None and type_.kind not in ("port", "file", "unknown")
    try:
        default = conform(declared.default.value, type_) if plain and declared.default else None
    except Misfit:
        plain, default = False, None  # told where the flow's values are chosen
    return InputSpec(declared.name, type_, flows=True, required=not plain, default=default)


def _names_a_file(value: Value, type_: PortType) -> TypeGuard[Literal]:
    """Say whether a value is the path of what an input is read from."""
    literal = isinstance(value, Literal) and isinstance(value.value, str | Path)
    return literal and type_.kind in ("port", "file")


def _knows_not(type_: PortType) -> bool:
    """Say whether a type could not be found, which has been told."""
    return type_.kind == "unknown" or (type_.item is not None and _knows_not(type_.item))
