"""Flows in short."""

from typing import Any


def flow(nodes: dict[str, Any], outputs: dict[str, str], **more: Any) -> dict[str, Any]:
    """A workflow with its outputs given as refs."""
    refs = {name: {"ref": ref} for name, ref in outputs.items()}
    return {"nodegraph": 1, "nodes": nodes, "outputs": refs, **more}


def toy(type_: str, **inputs: Any) -> dict[str, Any]:
    """A node of the toys package."""
    return {"type": f"toys.{type_}", "inputs": inputs}


def ref(target: str) -> dict[str, str]:
    """A link."""
    return {"ref": target}
