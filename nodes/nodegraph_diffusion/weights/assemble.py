"""Builds a network without memory of its own and puts a file's tensors in their places."""

from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nodegraph import WeightsError

from .files import Tensors

M = TypeVar("M", bound=nn.Module)
_SHOWN = 3


def assemble(
    build: Callable[[], M], tensors: Tensors, what: str, dtype: torch.dtype, device: torch.device
) -> M:
    """Return a frozen network with the tensors of a file.

    Only one tensor at a time is held twice; one that needs no change stays mapped from its file.

    Raises:
        WeightsError: tensors are missing, not known, of another shape or of whole numbers, or the
            sizes that the file states make no network.
    """
    try:
        with torch.device("meta"), _Unfilled():
            module = build()
    except (ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise WeightsError(
            f"{tensors.place}: states a {what} that cannot be built ({error}); it is damaged"
        ) from error
    wanted: Mapping[str, Tensor] = module.state_dict()
    _compare({name: tuple(t.shape) for name, t in wanted.items()}, tensors, what)
    state = {
        name: _place(_numbers(tensors, name, like), like, dtype, device)
        for name, like in wanted.items()
    }
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)


class _Unfilled(TorchFunctionMode):
    """Leaves weights as they are: there are none on the meta device.

    To draw normal numbers there makes torch import its compiler, which takes as long as torch
    itself and leaves a folder among the temporary ones.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def _numbers(tensors: Tensors, name: str, like: Tensor) -> Tensor:
    """Read a tensor that has to be of fractions, or of whole numbers, as another is."""
    tensor = tensors.read(name)
    if tensor.is_floating_point() != like.is_floating_point():
        found = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(
            f"{tensors.place}: tensor {name!r} is {found}, where weights are float32, float16 or "
            "bfloat16; the file is damaged or of a form that is not supported"
        )
    return tensor


def _place(tensor: Tensor, like: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Convert in one step; convolutions become channels-last, which their kernels want."""
    tensor = tensor.reshape(like.shape)
    if not tensor.is_floating_point():
        return tensor.to(device)
    if tensor.dim() == 4 and prod(tensor.shape[2:]) > 1:
        return tensor.to(device, dtype, memory_format=torch.channels_last)
    return tensor.to(device, dtype)


def _compare(wanted: Mapping[str, tuple[int, ...]], tensors: Tensors, what: str) -> None:
    found = tensors.shapes
    missing = [name for name in wanted if name not in found]
    surplus = [name for name in found if name not in wanted]
    misshapen = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in found and not _fits(found[name], shape)
    ]
    problems = [
        _listed(missing, "is missing", "are missing"),
        _listed(surplus, "is not known", "are not known"),
        _listed(misshapen, "has another shape", "have another shape"),
    ]
    if any(problems):
        raise WeightsError(
            f"{tensors.place}: does not hold the {what} it seems to be: "
            f"{', '.join(p for p in problems if p)}; the file is damaged or of another model"
        )


def _fits(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """A matrix may stand for a 1x1 convolution and the other way round."""
    return found == wanted or _trimmed(found) == _trimmed(wanted)


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def _listed(names: Iterable[str], one: str, several: str) -> str:
    names = list(names)
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    count = f"{len(names)} tensor{'' if len(names) == 1 else 's'}"
    return f"{count} {one if len(names) == 1 else several} ({', '.join(names[:_SHOWN])}{more})"
