"""Strict JSON: duplicate keys, NaN, lone surrogates and deep nesting are errors with a place."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, Final, TypeGuard

from .errors import Problem, WorkflowError

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_DEPTH: Final = 64
MOST: Final = 200
"""Problems of a text that are told; there may be millions."""
_SOUND: Final = (int, bool, type(None))
"""Types of which every value that is parsed is as it should be."""
_NAMES: Final = {math.inf: "infinite", -math.inf: "infinite"}


class _Doubled(dict[str, Any]):
    """An object in which some keys stood more than once."""

    doubled: tuple[str, ...] = ()


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a JSON value is a list."""
    return isinstance(value, list)


def is_table(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a JSON value is an object."""
    return isinstance(value, dict)


def read_text(path: Path) -> str:
    """Read a UTF-8 file.

    Raises:
        WorkflowError: it is missing, a directory, unreadable, huge, or not UTF-8.
    """
    try:
        if path.is_dir():
            raise _refusal("not_a_file", f"{path}: a directory; name the workflow file in it")
        if not path.is_file() and path.exists() and str(path) != "/dev/stdin":
            raise _refusal("not_a_file", f"{path}: a device or pipe; name a workflow file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            limit = MAX_BYTES // 2**20
            raise _refusal("too_large", f"{path}: larger than {limit} MiB; is it a workflow?")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise _refusal("no_such_file", f"{path}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        message = f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        raise _refusal("not_utf8", message) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _refusal("unreadable", f"{path}: {reason}; check the path") from None


def parse(text: str, place: str) -> Any:
    """Parse strict JSON; `place` names the text in messages.

    Raises:
        WorkflowError: it is not JSON, or not strict; all such places are named.
    """
    try:
        data = json.loads(text, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        message = f"{place}: not JSON at {where}: {error.msg[:1].lower()}{error.msg[1:]}"
        raise _refusal("not_json", message) from None
    except RecursionError:
        raise _too_deep(place) from None
    except ValueError:
        raise _refusal("not_json", f"{place}: an integer of thousands of digits") from None
    problems = _faults(data, place)
    if problems:
        raise WorkflowError(problems)
    return data


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) == len(pairs):
        return data
    marked = _Doubled(data)
    counts = Counter(key for key, _ in pairs)
    marked.doubled = tuple(key for key, count in counts.items() if count > 1)
    return marked


def _faults(data: Any, place: str) -> list[Problem]:
    """Walk the whole document without recursion; 10^6 values take under a second."""
    problems: list[Problem] = []
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(data, ())]
    while pending:
        value, path = pending.pop()
        if len(problems) > MOST:
            break
        if len(path) > MAX_DEPTH:
            raise _too_deep(place)
        if is_table(value):
            for key in value.doubled if isinstance(value, _Doubled) else ():
                where = f" in {'.'.join(map(str, path))}" if path else ""
                said = f"the key {key!r} stands twice{where}"
                message = f"{place}: {said}; rename or remove one"
                problems.append(Problem.at("duplicate_key", (*path, key), message))
            for key, item in value.items():
                _check_text(key, path, place, problems)
                pending.append((item, (*path, key)))
        elif is_list(value):
            pending.extend(
                (item, (*path, index))
                for index, item in enumerate(value)
                if type(item) not in _SOUND  # millions of numbers would take gigabytes
            )
        elif isinstance(value, str):
            _check_text(value, path, place, problems)
        elif isinstance(value, float) and not math.isfinite(value):
            said = f"{'.'.join(map(str, path))} is {_NAMES.get(value, 'NaN')}"
            message = f"{place}: {said}, not a number; write one"
            problems.append(Problem.at("not_finite", path, message))
    return sorted(problems, key=lambda problem: problem.pointer)


def is_text(value: str) -> bool:
    """Say whether a string can be written as UTF-8: it has no half of a surrogate pair."""
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)


def _check_text(
    text: str, path: tuple[str | int, ...], place: str, problems: list[Problem]
) -> None:
    if not is_text(text):
        said = f"{'.'.join(map(str, path))} has half a surrogate pair"
        problems.append(Problem.at("not_text", path, f"{place}: text at {said}; write it whole"))


def _refusal(code: str, message: str) -> WorkflowError:
    return WorkflowError([Problem(code, "", message)])


def _too_deep(place: str) -> WorkflowError:
    return _refusal("too_deep", f"{place}: nested deeper than {MAX_DEPTH} levels; flatten it")
