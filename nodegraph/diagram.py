"""A workflow as boxes and arrows, and these as a Mermaid flowchart."""

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import one_line
from .models import Models
from .packages import Packages
from .reach import Reach
from .shelf import Shelf
from .types import PortType
from .values import Misfit
from .workflow import InputRef, Ref, Several, Value, Workflow


@dataclass(frozen=True, slots=True)
class Box:
    """A declared input, a node or an output; `kind` says which."""

    id: str
    kind: str
    title: str
    subtitle: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """A link from a box to a box: the port it goes to, and the type that it carries."""

    source: str
    target: str
    port: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    """Boxes and the arrows between them."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def diagram(
    flow: Workflow, packages: Packages | None = None, reach: Reach | None = None
) -> Diagram:
    """Return a flow's diagram; with packages, arrows know their types where these are installed."""
    said = _Types(flow, packages or Packages({}), reach).of
    boxes = [Box(f"in_{name}", "input", name, _named(d.type)) for name, d in flow.inputs.items()]
    boxes += [Box(f"n_{n.id}", "node", n.id, _about(n.type, n.mapped)) for n in flow.nodes.values()]
    boxes += [Box(f"out_{name}", "output", name) for name in flow.outputs]
    known = {box.id for box in boxes}
    arrows: list[Arrow] = []
    for node in flow.nodes.values():
        values = node.inputs if node.when is None else {**node.inputs, "when": node.when}
        wires = [(port, ref) for port, value in values.items() for ref in _refs(value)]
        arrows += [Arrow(_box(r), f"n_{node.id}", port, said(r)) for port, r in wires]
    arrows += [Arrow(_box(r), f"out_{name}", "", said(r)) for name, r in flow.outputs.items()]
    return Diagram(tuple(boxes), tuple(a for a in arrows if a.source in known))


def mermaid(drawn: Diagram) -> str:
    """Return a Mermaid flowchart: declared inputs, nodes, outputs, links named by their port."""
    forms = {"input": '(["{}"])', "node": '["{}"]', "output": '[/"{}"/]'}
    lines = ["flowchart LR"]
    for box in drawn.boxes:
        small = f"<br/><small>{_safe(box.subtitle)}</small>" if box.kind == "node" else ""
        lines.append(f"  {box.id}{forms[box.kind].format(_safe(box.title) + small)}")
    for arrow in drawn.arrows:
        said = _safe(": ".join(filter(None, (arrow.port, arrow.type))))
        label = f"|{said}|" if said else ""
        lines.append(f"  {arrow.source} -->{label} {arrow.target}")
    return "\n".join(lines)


def _safe(text: str) -> str:
    """Return text that stays text in a label."""
    signs = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "|": "#124;"}
    return "".join(signs.get(c, c) for c in one_line(text))


class _Types:
    """Says what links carry, as far as packages tell."""

    def __init__(self, flow: Workflow, packages: Packages, reach: Reach | None) -> None:
        from .checker import Checker

        shelf = Shelf.around(flow, packages, Models(), reach)
        self._checker = Checker(flow, shelf, _unheard)
        self._checker.look_up()

    def of(self, ref: Ref | InputRef) -> str:
        """Return the name of a link's type, "" where it is not known."""
        if isinstance(ref, InputRef):
            type_ = self._checker.resolver.types.get(ref.name)
        else:
            try:
                type_ = self._checker.links.source(ref)[1]
            except Misfit:
                type_ = None
        return _named(type_) if type_ else ""


def _unheard(code: str, path: tuple[str | int, ...], message: str) -> None:
    """Pass over what `check` would say: a flow with faults is drawn, too."""


def _named(type_: PortType) -> str:
    if type_.kind == "list":
        return f"list of {_named(type_.item)}" if type_.item else "list"
    return type_.name or type_.model or type_.kind


def _about(type_: str, mapped: tuple[str, ...]) -> str:
    return one_line(f"{type_}, mapped" if mapped else type_)


def _box(ref: Ref | InputRef) -> str:
    return f"in_{ref.name}" if isinstance(ref, InputRef) else f"n_{ref.node}"


def _refs(value: Value) -> Iterator[Ref | InputRef]:
    for item in value.items if isinstance(value, Several) else (value,):
        if isinstance(item, Several):
            yield from _refs(item)
        elif isinstance(item, Ref | InputRef):
            yield item
