"""Run, train and explain ControlNet pipelines from a JSON file."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Outputs, check, run
    from .batching import batch
    from .context import Cancelled, Context
    from .decorator import node
    from .errors import NodeError, NodegraphError, PackageError, WeightsError, WorkflowError
    from .ports import Codec, port
    from .types import Destination, Family, ModelFile

__version__ = "0.1.0"

__all__ = [
    "Cancelled", "Codec", "Context", "Destination", "Family", "ModelFile", "NodeError",
    "NodegraphError", "Outputs", "PackageError", "WeightsError", "WorkflowError",
    "batch", "check", "node", "port", "run",
]  # fmt: skip

_HOME = {
    "api": ("Outputs", "check", "run"),
    "batching": ("batch",),
    "context": ("Cancelled", "Context"),
    "errors": ("NodeError", "NodegraphError", "PackageError", "WeightsError", "WorkflowError"),
    "decorator": ("node",),
    "ports": ("Codec", "port"),
    "types": ("Destination", "Family", "ModelFile"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that the command line starts at once."""
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
