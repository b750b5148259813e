"""Draws a workflow as a Mermaid flowchart."""

from collections.abc import Iterator

from .workflow import InputRef, Ref, Several, Value, Workflow


def mermaid(flow: Workflow) -> str:
    """Return a Mermaid flowchart: declared inputs, nodes, outputs, links named by their port."""
    lines = ["flowchart LR"]
    lines += [f'  in_{name}(["{name}"])' for name in flow.inputs]
    lines += [f'  n_{n.id}["{n.id}<br/><small>{n.type}</small>"]' for n in flow.nodes.values()]
    lines += [f'  out_{name}[/"{name}"/]' for name in flow.outputs]
    for node in flow.nodes.values():
        for port, value in node.inputs.items():
            lines += [f"  {source} -->|{port}| n_{node.id}" for source in _sources(value)]
    lines += [f"  n_{ref.node} --> out_{name}" for name, ref in flow.outputs.items()]
    return "\n".join(lines)


def _sources(value: Value) -> Iterator[str]:
    if isinstance(value, Several):
        for item in value.items:
            yield from _sources(item)
    elif isinstance(value, Ref):
        yield f"n_{value.node}"
    elif isinstance(value, InputRef):
        yield f"in_{value.name}"
