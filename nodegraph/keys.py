"""The key of a result: a digest of everything that decides its bits, known before it is computed.

A key is made of the node's type and version, the sources of its package, its inputs (values,
digests of files, keys of what it is linked to) and the surroundings. Titles, `ui`, and names of
nodes but those in a mapped flow are no part of it. What has no key, "", is neither stored nor
found, nor is what depends on it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .digests import Digests
from .environment import accelerators, surroundings, versions
from .errors import PackageError
from .jsontext import is_list
from .loaded import is_current, loaded_of, remember
from .packages import Packages
from .plan import INPUTS, Bound, Plan, Source, Step
from .ports import declared_port

Token = Mapping[str, Any]
"""What stands for a value in a key: `v` a plain value, `f` a file, `k` a result, `l` a list."""
_NO: Final[Token] = {"k": ""}
_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Keeps the order of objects: a node that gets one can tell."""
_encode_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


@dataclass(slots=True)
class FrameKeys:
    """The keys of one plan's steps, by id, and those of the bodies in it."""

    plan: Plan
    """All of it, also what need not run again."""
    steps: dict[str, str] = field(default_factory=dict[str, str])
    bodies: dict[str, Any] = field(default_factory=dict[str, Any])
    """`FrameKeys` of bodies that run once, by step."""
    given: dict[str, dict[str, Token]] = field(default_factory=dict[str, dict[str, Token]])
    """What mapped steps are given, by port."""
    parts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """What each key was made of, where that is asked for."""
    ends: dict[str, Token] = field(default_factory=dict[str, Token])
    """The plan's outputs."""


class Keys:
    """Makes keys; `device` and `dtype` count for nodes that can ask for them."""

    def __init__(
        self, packages: Packages, digests: Digests, device: str, dtype: str, *, parts: bool = False
    ) -> None:
        self._packages = packages
        self._digests = digests
        self._where = [device, dtype, *accelerators(device).values()]
        self._parts = parts
        self._around = surroundings()
        self._sides: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, str] = {}

    def of(self, plan: Plan, given: Mapping[str, Token] | None = None) -> FrameKeys:
        """Return the keys of a plan's steps; `given` are the inputs of a body, by port.

        Raises:
            OSError: a file that is an input cannot be read.
        """
        found = FrameKeys(plan)
        tokens: dict[Source, Token] = {}
        for port, token in (given or {}).items():
            tokens[Source(INPUTS, port)] = token
        for step in plan.steps:
            inputs = {
                port: self._value(step, port, value)
                for port, value in step.constants.items()
                if not _is_default(step, port, value)  # written down or not, it is the same
            }
            inputs |= {
                port: self._link(step, port, bound, tokens) for port, bound in step.links.items()
            }
            inputs = dict(sorted(inputs.items()))
            if step.body is None:
                found.steps[step.id] = key = self._key(step, inputs, tokens, found)
                ends: Mapping[str, Token] = {}
            else:
                key, ends = self._group(step, step.body, inputs, tokens, found)
            for port in step.spec.outputs:
                own = {"k": f"{key}.{port}" if key else ""}
                tokens[Source(step.id, port)] = ends.get(port, own)
        found.ends = {name: tokens[source] for name, source in plan.outputs.items()}
        return found

    def item(self, step: Step, given: Mapping[str, Token], number: int) -> FrameKeys:
        """Return the keys of a mapped step's body for one item, counted from 0."""
        assert step.body is not None
        items = {port: _at(given[port], number) for port in step.mapped}
        return self.of(step.body, {**given, **items})

    def _group(
        self,
        step: Step,
        body: Plan,
        inputs: dict[str, Token],
        tokens: Mapping[Source, Token],
        found: FrameKeys,
    ) -> tuple[str, Mapping[str, Token]]:
        """Return the key of a step with a body, and of a body that runs once its own outputs."""
        when = _when(step, tokens)
        inputs = {port: _or_default(step, port, token) for port, token in inputs.items()}
        if not step.mapped and when == _ALWAYS:
            inner = found.bodies[step.id] = self.of(body, inputs)
            found.steps[step.id] = ""
            return "", inner.ends
        each = {p: {"k": f"{t}[]"} if p in step.mapped else t for p, t in inputs.items()}
        inner = found.bodies[step.id] = self.of(body, each)
        found.given[step.id] = inputs
        names = sorted(inner.steps)  # by which the stored notes of the items are told
        mapped = [(port, inputs.get(port)) for port in sorted(step.mapped)]
        made = ["each", when, sorted(inner.ends.items()), names, mapped]
        volatile = any(map(_volatile, (*inner.ends.values(), *inputs.values(), when)))
        key = "" if volatile or step.spec.sink else _digest(made, _encode)
        if self._parts:
            found.parts[step.id] = {"type": "map", "inputs": inputs, "when": when}
        found.steps[step.id] = key
        return key, {}

    def _key(
        self,
        step: Step,
        inputs: Mapping[str, Token],
        tokens: Mapping[Source, Token],
        found: FrameKeys,
    ) -> str:
        spec, when = step.spec, _when(step, tokens)
        if not spec.lasting or _volatile(when) or any(map(_volatile, inputs.values())):
            return ""
        side = self._side(step)
        if not side:
            return ""
        where = self._where if spec.context and spec.device != "cpu" else []
        if self._parts:
            made = {"type": f"{step.type}@{spec.version}", "inputs": inputs, "when": when}
            found.parts[step.id] = {**made, "where": where, **side}
        return _digest([step.type, spec.version, side["digest"], inputs, when, where], _encode)

    def _side(self, step: Step) -> dict[str, Any]:
        """Return what the package brings in: its sources, the versions of its libraries.

        Nothing where this process runs other sources than those.
        """
        package = self._package(step)
        if package not in self._sides:
            manifest = self._packages.manifest(package)
            if not is_current(self._packages.package(package), manifest):
                return self._sides.setdefault(package, {})
            data = manifest.data
            around = {**versions(tuple(data["libraries"])), **self._around}
            side = {"sources": data["sources"], "around": around}
            self._sides[package] = {**side, "digest": _digest([data["nodegraph"], side])}
        return self._sides[package]

    def changed(self) -> list[Path]:
        """Return the files of packages that are not any more as the keys say."""
        found: list[Path] = []
        for name in [name for name, side in self._sides.items() if side]:
            manifest = self._packages.manifest(name)
            changed = manifest.changed() if loaded_of(manifest) else []
            if not changed:
                remember(self._packages.package(name), manifest)
            found += map(Path, changed)
        return found

    def _package(self, step: Step) -> str:
        package, dot, _ = step.type.partition(".")
        if dot:
            return package
        port = step.spec.outputs["output"].type.port  # a declared input that is read from a file
        if port not in self._owners:
            self._owners[port] = self._owner(port)
        return self._owners[port]

    def _owner(self, port: str) -> str:
        owner = self._packages.owner(port)
        if owner:
            return owner
        raise PackageError(f"{port}: belongs to no installed package; install it again")

    def _link(self, step: Step, port: str, bound: Bound, tokens: Mapping[Source, Token]) -> Token:
        """Return what stands for a link, or for a list in which some items are links."""
        if isinstance(bound, Source):
            return tokens.get(bound, _ABSENT)
        return {
            "l": [
                tokens.get(item, _ABSENT)
                if isinstance(item, Source)
                else self._value(step, port, item)
                for item in bound
            ]
        }

    def _value(self, step: Step, port: str, value: Any) -> Token:
        if step.body is None and not step.spec.lasting:
            return _NO  # its files may be large, and it has no key anyway
        known = step.spec.inputs.get(port)
        writes = known is not None and known.type.destination
        return self._token(value, writes=writes)

    def _token(self, value: Any, *, writes: bool) -> Token:
        if isinstance(value, Path):
            return _NO if writes else {"f": self._digests.of(value)}
        if is_list(value) and any(isinstance(i, Path) or declared_port(i) for i in value):
            return {"l": [self._token(item, writes=writes) for item in value]}
        declared = declared_port(value)
        if declared is not None:
            codec = declared.codec
            return {"d": codec.digest(value), "t": declared.id} if codec.can("digest") else _NO
        return {"v": value} if _is_plain(value) else _NO


def _is_default(step: Step, port: str, value: Any) -> bool:
    known = step.spec.inputs.get(port)
    if known is None or known.required or known.type.kind in ("port", "file"):
        return False
    return _is_plain(value) and _encode(value) == _encode(known.default)  # True is not 1


_ALWAYS: Final[Token] = {"v": True}


def _when(step: Step, tokens: Mapping[Source, Token]) -> Token:
    return tokens[step.when] if isinstance(step.when, Source) else {"v": step.when}


def _or_default(step: Step, port: str, token: Token) -> Token:
    """Add what stands in the place of a link that may bring nothing, since its node was skipped."""
    known = step.spec.inputs[port]
    if "v" in token or known.required or step.function is not None:
        return token
    return {**token, "default": known.default}


_ABSENT: Final[Token] = {"v": None, "absent": True}
"""An input of a body that was not given: the port's default, which the sources decide."""


def _at(token: Token, number: int) -> Token:
    """Return what stands for one item of a list."""
    if "l" in token:
        item: Token = token["l"][number]
        return item
    if "v" in token:
        return {"v": token["v"][number]}
    return {"k": f"{token['k']}[{number}]" if token["k"] else ""}


def _volatile(token: Token) -> bool:
    return token.get("k") == "" or any(map(_volatile, token.get("l", ())))


def _is_plain(value: Any) -> bool:
    if not isinstance(value, list | dict):
        return value is None or isinstance(value, str | int | float)
    try:
        _encode(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _digest(parts: Any, encode: Callable[[Any], str] = _encode_sorted) -> str:
    return hashlib.sha256(encode(parts).encode()).hexdigest()
