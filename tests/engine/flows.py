"""Flows in short, and the command line in this process."""

from typing import Any

from nodegraph.cli import main


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


def call(*words: str) -> int:
    """Call the command line; argparse leaves by raising."""
    try:
        return main(list(words))
    except SystemExit as leaving:
        return int(leaving.code or 0)
