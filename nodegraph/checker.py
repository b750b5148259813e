"""Compares one flow, and the flows within it, with what is installed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeGuard

from .errors import PackageError
from .families import Family, agree, letter
from .links import Links
from .plan import INPUTS, Plan, Source, Step, cycles, in_order, make_plan, needed
from .requirements import unmet
from .resolve import Fault, Resolver
from .shelf import Shelf
from .spec import InputSpec, NodeSpec, OutputSpec
from .specs import UNKNOWN, flow_input, installed_spec, mapped_spec
from .types import PortType
from .values import Misfit, expected, near
from .workflow import Entry, InputRef, Literal, Several, Value, Workflow


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
        """Files that are read by `node.port`."""
        return self.resolver.files

    @property
    def folders(self) -> dict[str, Path]:
        """Folders that are read by `node.port`."""
        return self.resolver.folders

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
                self.specs[entry.id] = mapped_spec(spec, entry.mapped) if entry.mapped else spec
        for child in self.children.values():
            self.resolver.among |= child.resolver.among
        self.resolver.bind_types()

    def _node_spec(self, entry: Entry) -> NodeSpec | None:
        try:
            if entry.package:
                return installed_spec(entry, self.shelf.packages, self.fault)
        except PackageError as error:
            self.fault("broken_package", ("nodes", entry.id, "type"), f"{entry.id}: {error}")
        return None

    def _flow_spec(self, entry: Entry) -> NodeSpec | None:
        """Look up the flow that stands in the place of a node."""
        path = ("nodes", entry.id, "flow")
        try:
            shelf, flow = self.shelf.flow(entry, self.resolver)
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
                name: flow_input(declared, self.resolver.types.get(name, UNKNOWN))
                for name, declared in self.flow.inputs.items()
            },
            outputs={n: OutputSpec(n, self._output_type(n)) for n in self.flow.outputs},
            sink=any(spec.sink for spec in self.specs.values()),
        )

    def _output_type(self, name: str) -> PortType:
        try:
            return self.links.source(self.flow.outputs[name])[1] or UNKNOWN
        except Misfit:
            return UNKNOWN  # told when the outputs are bound

    def model_inputs(self) -> set[str]:
        """Return the declared inputs that go where a model is named, in flows within too."""
        found: set[str] = set()
        for id_, spec in self.specs.items():
            within = self.children[id_].model_inputs() if id_ in self.children else set[str]()
            for port, value in self.flow.nodes[id_].inputs.items():
                type_ = spec.inputs[port].type if port in spec.inputs else UNKNOWN
                if port in within or type_.model or (type_.item and type_.item.model):
                    items = value.items if isinstance(value, Several) else (value,)
                    found.update(item.name for item in items if isinstance(item, InputRef))
        return found

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
            function = partial(self.shelf.packages.function, entry.package, entry.function)
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
            type_ = step.spec.inputs[port].type if port in step.spec.inputs else UNKNOWN
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


def _names_a_file(value: Value, type_: PortType) -> TypeGuard[Literal]:
    """Say whether a value is the path of what an input is read from."""
    literal = isinstance(value, Literal) and isinstance(value.value, str | Path)
    return literal and type_.kind in ("port", "file")


def _knows_not(type_: PortType) -> bool:
    """Say whether a type could not be found, which has been told."""
    return type_.kind == "unknown" or (type_.item is not None and _knows_not(type_.item))
