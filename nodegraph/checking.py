"""Compares a workflow with what is installed: every problem at once, or the plan of its run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from .errors import PackageError, Problem
from .families import Family, agree, letter
from .models import Models
from .packages import Packages
from .plan import Plan, Source, Step, cycles, in_order, make_plan, needed
from .requirements import unmet
from .resolve import Resolver
from .spec import InputSpec, NodeSpec
from .types import PortType, fits
from .values import Misfit, expected, near, noun, within
from .workflow import Entry, InputRef, Literal, Ref, Several, Unreadable, Value, Workflow

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
    """Model files by `node.port`."""


def check_workflow(
    flow: Workflow,
    given: Mapping[str, Literal],
    packages: Packages,
    models: Models,
    *,
    running: bool = False,
) -> Checked:
    """Find everything that is wrong with a workflow, without importing a node's code.

    Args:
        given: values of declared inputs.
        running: the values are complete: a declared input without one is a problem.
    """
    checker = _Checker(flow, packages, models)
    try:
        checker.resolver.choose(given, running=running)
        checker.look_up()
        checker.resolver.bind_types()
        for entry in flow.nodes.values():
            checker.node(entry)
        checker.outputs()
        if not checker.knots() and checker.resolver.families:
            checker.families()
    except _Enough:
        more = Problem("too_many", "", f"there are more problems than {MOST}; mend these first")
        return Checked((*checker.problems[:MOST], more))
    return checker.result()


class _Checker:
    """Walks a workflow once, collecting problems and steps."""

    def __init__(self, flow: Workflow, packages: Packages, models: Models) -> None:
        self.flow = flow
        self.packages = packages
        self.problems = list(flow.problems)
        self.specs: dict[str, NodeSpec] = {}
        self.steps: dict[str, Step] = {}
        self.ends: dict[str, Source] = {}
        self.resolver = Resolver(flow, packages, models, self.fault)

    def fault(self, code: str, path: tuple[str | int, ...], message: str) -> None:
        if len(self.problems) >= MOST:
            raise _Enough
        self.problems.append(Problem.at(code, path, message))

    # Node types

    def look_up(self) -> None:
        """Find the specification of every node that has one."""
        for code, where, message in unmet(self.flow.requires):
            self.fault(code, where, message)
        self.packages.read({entry.package for entry in filter(_has_type, self.flow.nodes.values())})
        for entry in filter(_has_type, self.flow.nodes.values()):
            path = ("nodes", entry.id, "type")
            try:
                spec = self.spec(entry, path)
            except PackageError as error:
                self.fault("broken_package", path, f"{entry.id}: {error}")
                continue
            if spec is not None:
                self.specs[entry.id] = spec

    def spec(self, entry: Entry, path: tuple[str, ...]) -> NodeSpec | None:
        if entry.package not in self.packages.entries:
            known = self.packages.names
            help_ = near(entry.package, known) or f"; installed are {', '.join(known) or 'none'}"
            message = (
                f"{entry.id}: no package {entry.package!r} is installed for {entry.type!r}{help_}"
            )
            self.fault("unknown_package", path, message)
            return None
        manifest = self.packages.manifest(entry.package)
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

    # Inputs of nodes

    def node(self, entry: Entry) -> None:
        spec = self.specs.get(entry.id)
        if spec is None:
            for port, value in entry.inputs.items():
                self.dangling(value, ("nodes", entry.id, "inputs", port), f"{entry.id}.{port}")
            return
        function = partial(self.packages.package(entry.package).function, entry.function)
        step = Step(entry.id, entry.type, spec, function)
        for port, value in entry.inputs.items():
            self.bind(step, port, value)
        for name, wanted in spec.inputs.items():
            if name not in entry.inputs:
                self.absent(step, wanted)
        self.steps[entry.id] = step

    def bind(self, step: Step, port: str, value: Value) -> None:
        """Give a step what stands in one of its inputs, as a constant or a link."""
        path = ("nodes", step.id, "inputs", port)
        place = f"{step.id}.{port}"
        known = step.spec.inputs
        if port not in known:
            help_ = near(port, known) or f"; it takes {', '.join(known) or 'nothing'}"
            self.fault("unknown_input", path, f"{place}: {step.type!r} has no such input{help_}")
            self.dangling(value, path, place)
            return
        try:
            bound = self.bound(value, known[port].type, place)
        except Misfit as misfit:
            self.fault(misfit.code, path, f"{place}: {misfit}")
            return
        linked = isinstance(bound, Source) or isinstance(value, Several)
        (step.links if linked else step.constants)[port] = bound

    def absent(self, step: Step, port: InputSpec) -> None:
        """Report an input that has to be given; resolve a model that is the default."""
        if port.required:
            message = f"{step.id}: input {port.name!r} is missing; give {expected(port.type)}"
            self.fault("missing_input", ("nodes", step.id, "inputs"), message)
        elif port.type.model and port.default is not None:
            self.bind(step, port.name, Literal(port.default, self.flow.base))

    def bound(self, value: Value, type_: PortType, place: str) -> Any:
        """Return a constant, a Source, or a list of these.

        Raises:
            Misfit: the value cannot stand here.
        """
        if isinstance(value, Literal):
            return self.resolver.literal(value, type_, place)
        if isinstance(value, InputRef):
            return self.resolver.input(value.name, type_, place)
        if isinstance(value, Unreadable):
            return None
        if isinstance(value, Several):
            if type_.kind != "list" or type_.item is None:
                raise Misfit("wrong_type", f"a list of links is not {expected(type_)}")
            items = [self.bound(item, type_.item, place) for item in value.items]
            within(items, type_)
            return items
        source, output = self.source(value)
        if output is not None and not fits(output, type_):
            raise Misfit("type_mismatch", self.mismatch(value, output, type_, place))
        return source

    def source(self, ref: Ref) -> tuple[Source, PortType | None]:
        """Find what a link points at; its type is None when the node's type is not known.

        Raises:
            Misfit: there is no such node or output.
        """
        if ref.node not in self.flow.nodes:
            help_ = near(ref.node, self.flow.nodes) or "; add it or change the link"
            raise Misfit("dangling_ref", f"no node {ref.node!r} in this flow{help_}")
        spec = self.specs.get(ref.node)
        if spec is None:
            return Source(ref.node, ref.port or "output"), None
        listed = ", ".join(spec.outputs)
        if not spec.outputs:
            raise Misfit("which_output", f"{ref.node!r} is a sink, it has no output; link another")
        if not ref.port and len(spec.outputs) != 1:
            message = (
                f"{ref.node!r} has the outputs {listed}; write '{ref.node}.port' with one of them"
            )
            raise Misfit("which_output", message)
        port = ref.port or next(iter(spec.outputs))
        if port not in spec.outputs:
            help_ = near(port, spec.outputs) or f"; its outputs are {listed}"
            raise Misfit("dangling_ref", f"node {ref.node!r} has no output {port!r}{help_}")
        return Source(ref.node, port), spec.outputs[port].type

    def mismatch(self, ref: Ref, output: PortType, wanted: PortType, place: str) -> str:
        said = f"{ref.node}.{ref.port}" if ref.port else ref.node
        right = [
            node if len(spec.outputs) == 1 else f"{node}.{port.name}"
            for node, spec in self.specs.items()
            for port in spec.outputs.values()
            if fits(port.type, wanted) and node != place.partition(".")[0]
        ]
        help_ = f"link {' or '.join(right[:3])}" if right else f"give {expected(wanted)}"
        return f"takes {noun(wanted)}, but {said!r} gives {noun(output)}; {help_}"

    def dangling(self, value: Value, path: tuple[str | int, ...], place: str) -> None:
        """Look at the links of an input whose type is not known."""
        for each in value.items if isinstance(value, Several) else (value,):
            try:
                if isinstance(each, Ref):
                    self.source(each)
                elif isinstance(each, InputRef):
                    self.resolver.declaration(each.name)
            except Misfit as misfit:
                self.fault(misfit.code, path, f"{place}: {misfit}")

    # The whole

    def outputs(self) -> None:
        for name, ref in self.flow.outputs.items():
            try:
                self.ends[name] = self.source(ref)[0]
            except Misfit as misfit:
                self.fault(misfit.code, ("outputs", name), f"outputs.{name}: {misfit}")
        sinks = any(spec.sink for spec in self.specs.values())
        known = len(self.specs) == len(self.flow.nodes) and not self.flow.problems
        if known and not self.flow.outputs and not sinks:
            message = "outputs: there are none and no node is a sink; add an output"
            self.fault("nothing_to_do", ("outputs",), message)

    def knots(self) -> bool:
        found = False
        for cycle in cycles(self.steps):
            walk = " -> ".join([*cycle, cycle[0]])
            self.fault(
                "cycle", ("nodes", cycle[0]), f"{cycle[0]}: a cycle, {walk}; remove one link"
            )
            found = True
        return found

    def families(self) -> None:
        """Carry families along the links, and report ports of a node that do not agree."""
        carried: dict[Source, Family] = {}
        for step in in_order(self.steps):
            arriving = list(self.resolver.families.get(step.id, {}).items())
            for port, bound in step.links.items():
                if letter(step.spec.inputs[port].type):
                    sources = bound if isinstance(bound, list) else (bound,)
                    arriving += [(port, carried[s]) for s in sources if s in carried]
            outputs, clashes = agree(step.id, step.spec, arriving)
            carried.update({Source(step.id, port): family for port, family in outputs.items()})
            for port, message in clashes.items():
                self.fault("family_mismatch", ("nodes", step.id, "inputs", port), message)

    def result(self) -> Checked:
        if self.problems:
            return Checked(tuple(self.problems))
        steps = {**self.resolver.reads, **self.steps}
        wanted = needed(steps, self.ends)
        idle = [step for step in self.steps if step not in wanted]
        notes = [f"{step}: no output needs it; it does not run" for step in idle]
        notes += self.resolver.notes()
        plan = make_plan(steps, self.ends)
        files, inputs = self.resolver.files, self.resolver.shown()
        return Checked((), tuple(notes), plan, inputs, files)


def _has_type(entry: Entry) -> bool:
    return entry.package != ""
