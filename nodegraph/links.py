"""What stands in an input: a constant or a link to an output, if it fits."""

from collections.abc import Mapping
from typing import Any

from .plan import Source
from .resolve import Fault, Resolver
from .spec import NodeSpec
from .types import PortType, fits
from .values import Misfit, expected, near, noun, within
from .workflow import InputRef, Literal, Ref, Several, Unreadable, Value, Workflow


class Links:
    """Knows the outputs of a flow's nodes; `specs` fills up while they are looked up."""

    def __init__(
        self, flow: Workflow, specs: Mapping[str, NodeSpec], resolver: Resolver, fault: Fault
    ) -> None:
        self.flow = flow
        self.specs = specs
        self.resolver = resolver
        self.fault = fault

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
            raise Misfit("type_mismatch", self._mismatch(value, output, type_, place))
        return source

    def source(self, ref: Ref) -> tuple[Source, PortType | None]:
        """Find what a link points at; its type is None when that is not known.

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
        type_ = spec.outputs[port].type
        return Source(ref.node, port), None if type_.kind == "unknown" else type_

    def _mismatch(self, ref: Ref, output: PortType, wanted: PortType, place: str) -> str:
        said = f"{ref.node}.{ref.port}" if ref.port else ref.node
        right = [
            node if len(spec.outputs) == 1 else f"{node}.{port.name}"
            for node, spec in self.specs.items()
            for port in spec.outputs.values()
            if fits(port.type, wanted) and node != place.partition(".")[0]
        ]
        help_ = f"link {' or '.join(right[:3])}" if right else f"give {expected(wanted)}"
        if output.kind == "list" and output.item and fits(output.item, wanted):
            help_ = f"it is mapped: map {place.partition('.')[0]!r} over it, too"
        return f"takes {noun(wanted)}, but {said!r} gives {noun(output)}; {help_}"

    def dangling(self, value: Value | None, path: tuple[str | int, ...], place: str) -> None:
        """Look at the links of an input whose type is not known."""
        for each in value.items if isinstance(value, Several) else (value,):
            try:
                if isinstance(each, Ref):
                    self.source(each)
                elif isinstance(each, InputRef):
                    self.resolver.declaration(each.name)
            except Misfit as misfit:
                self.fault(misfit.code, path, f"{place}: {misfit}")
