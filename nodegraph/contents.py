"""What a value holds, as far as it can be seen: two looks tell whether somebody has changed it."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, cast

from .jsontext import is_list, is_table
from .ports import declared_port

_DEEPEST: Final = 40


class _Parts(dict[str, Any]):
    """What an object holds by attribute; one that comes later, such as a cache, is no change."""


def contents(value: Any) -> Any:
    """Return what a value holds, down to the numbers of arrays and tensors."""
    return _look(value, set(), 0)


def changed(before: Any, after: Any) -> bool:
    """Say whether two looks at a value differ."""
    if isinstance(before, _Parts) and isinstance(after, _Parts):
        return any(key not in after or changed(before[key], after[key]) for key in before)
    if is_table(before) and is_table(after):
        return before.keys() != after.keys() or any(changed(before[k], after[k]) for k in before)
    if is_list(before) and is_list(after):
        return len(before) != len(after) or any(map(changed, before, after))
    return bool(before != after)


def _look(value: Any, seen: set[int], depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | Path):
        return repr(value)
    if id(value) in seen or depth > _DEEPEST or isinstance(value, type | FunctionType | ModuleType):
        return ""
    seen.add(id(value))
    declared = declared_port(value)
    if declared is not None and declared.codec.can("digest"):
        return declared.codec.digest(value)
    if isinstance(value, list | tuple):
        return [_look(item, seen, depth + 1) for item in cast("list[Any]", value)]
    buffer = _buffer(value)
    if buffer:
        return buffer
    parts = _Parts((name, _look(held, seen, depth + 1)) for name, held in _attributes(value))
    if is_table(value):
        return [parts, {repr(key): _look(item, seen, depth + 1) for key, item in value.items()}]
    return parts or repr(value)


def _buffer(value: Any) -> str:
    """Return a digest of an array or a tensor; "" of what is neither."""
    torch = sys.modules.get("torch")
    try:
        if torch is not None and isinstance(value, torch.Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            data = bytes(flat.view(torch.uint8).numpy()) if flat.numel() else b""
            return f"{value.dtype} {value.shape} {value.device} {hashlib.sha256(data).hexdigest()}"
        view = memoryview(value)
        return f"{view.format} {view.shape} {hashlib.sha256(view.tobytes()).hexdigest()}"
    except (TypeError, ValueError, BufferError, RuntimeError):  # such as a sparse tensor
        return ""


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name != "__dict__" and hasattr(value, name):
                yield name, getattr(value, name)
