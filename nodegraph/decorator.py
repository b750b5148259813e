"""The `@node` decorator: reads a function's signature and attaches its specification."""

from collections.abc import Callable
from inspect import getattr_static
from typing import Any, Literal, TypeVar, overload

from .signature import read_signature
from .spec import NodeSpec

F = TypeVar("F", bound=Callable[..., Any])
DECLARED: dict[tuple[str, str], set[str]] = {}
"""Where nodes were defined, by the top module and their name: one of two is out of sight."""


@overload
def node(function: F) -> F: ...
@overload
def node(
    *,
    version: int = 1,
    cache: bool = True,
    device: Literal["cpu", "device"] = "device",
    sink: bool = False,
) -> Callable[[F], F]: ...
def node(
    function: F | None = None,
    *,
    version: int = 1,
    cache: bool = True,
    device: Literal["cpu", "device"] = "device",
    sink: bool = False,
) -> F | Callable[[F], F]:
    """Make a typed function a node; the function stays what it is and gains `__nodegraph_node__`.

    What flows in stands before `*`, what is set after it. It returns one value (the port `output`),
    a NamedTuple whose fields are the ports, or None (a sink).

    Args:
        version: raise it when the same inputs give another result.
        cache: whether results may be stored.
        device: "cpu" for a node that never uses an accelerator.
        sink: whether it runs even when nothing asks for its result.

    Raises:
        PackageError: the signature says something that a port cannot be.
    """

    def attach(target: F) -> F:
        spec = read_signature(target, version=version, cache=cache, device=device, sink=sink)
        target.__nodegraph_node__ = spec  # type: ignore[attr-defined]
        module, code = target.__module__ or "", getattr(target, "__code__", None)
        place = f"{module}, line {code.co_firstlineno}" if code else module
        DECLARED.setdefault((module.partition(".")[0], spec.name), set()).add(place)
        return target

    return attach if function is None else attach(function)


def spec_of(function: object) -> NodeSpec | None:
    """Return the specification of a node function, or None for anything else."""
    spec = getattr_static(function, "__nodegraph_node__", None)  # asks nothing of odd objects
    return spec if isinstance(spec, NodeSpec) else None
