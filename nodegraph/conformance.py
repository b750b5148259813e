"""Tries a node package as a whole, from nothing but its specifications."""

import contextlib
import io
import itertools
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from .contents import changed, contents
from .context import Cancelled, Context
from .edges import combined, plain, values_of
from .errors import PackageError, reason
from .jsontext import is_list
from .package import Package
from .packages import Packages
from .ports import Port, declared_port
from .spec import InputSpec, NodeSpec
from .values import Misfit, conform
from .writing import scratch

SECONDS: Final = 5.0
"""How long one node is called; a call that takes longer is stopped where it reports progress."""
SILENT: Final = 20.0
"""Seconds of two calls from which on a node has to report progress."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `fault` says what is wrong, `passed_over` why it was not."""

    node: str
    what: str
    fault: str = ""
    passed_over: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to look at, of a node or a port type; nothing is called before `look`."""

    node: str
    what: str
    look: Callable[[], Check]


def trials(name: str, packages: Packages) -> Iterator[Trial]:
    """Yield what there is to look at in a package, from its manifest alone.

    Raises:
        PackageError: the package cannot be imported at all, or two distributions provide it.
        KeyError: there is no such package.
    """
    manifest = packages.manifest(name)
    package = packages.package(name)

    def trial(look: Callable[..., Check], node: str, what: str, *given: Any) -> Trial:
        return Trial(node, what, partial(look, node, what, *given))

    yield trial(Check, "", "the manifest is read without importing the package")
    for node in manifest.nodes[:1]:
        yield trial(_imported, "", "is imported without printing", package, node)
    for node in manifest.nodes:
        spec, type_ = manifest.spec(node), f"{name}.{node}"
        yield trial(_documented, type_, "has a help page", spec.doc)
        for port in spec.inputs.values():
            if not (port.required or port.default is None or port.type.kind == "file"):
                yield trial(_default, type_, f"default of {port.name} is within its range", port)
        yield trial(_calls, type_, "called at the edges of its ranges", spec, package)
    for identity, told in sorted(manifest.ports.items()):
        yield trial(_class_documented, told["name"], "its class has a docstring", identity)


def try_package(name: str, packages: Packages) -> Iterator[Check]:
    """Yield all checks of a package.

    Raises:
        PackageError: it cannot be imported at all.
        KeyError: there is no such package.
    """
    for trial in trials(name, packages):
        yield trial.look()


def _documented(node: str, what: str, doc: str) -> Check:
    return Check(node, what, "" if doc.strip() else "write a docstring")


def _class_documented(node: str, what: str, identity: str) -> Check:
    return _documented(node, what, _class_of(identity).__doc__ or "")


def _default(node: str, what: str, port: InputSpec) -> Check:
    try:
        conform(port.default, port.type)
    except Misfit as misfit:
        return Check(node, what, f"{port.name}: {misfit}")
    return Check(node, what)


def _imported(node: str, what: str, package: Package, first: str) -> Check:
    """Import the package; `first` is one of its nodes."""
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        package.function(first)
    return Check(node, what, "it prints something; print nothing" if heard.getvalue() else "")


def _calls(node: str, what: str, spec: NodeSpec, package: Package) -> Check:
    """Call a node with values at the edges of its ranges, and look at what it does."""
    function = package.function(spec.name)
    try:
        return _called(node, what, spec, function)
    except Exception as error:  # noqa: BLE001 (a stranger's codec)
        return Check(node, what, f"its types cannot be tried: {reason(error)}")


def _called(node: str, what: str, spec: NodeSpec, function: Callable[..., Any]) -> Check:
    why = why_not(spec)
    if why:
        return Check(node, what, passed_over=why)
    values = {port.name: values_of(port) for port in spec.inputs.values()}
    calls, clock = 0, _Clock()
    for arguments in combined(values):
        try:
            fault = _call(spec, function, arguments, clock)
        except Cancelled:
            break
        if fault:
            return Check(node, what, f"{_said(arguments)}: {fault}")
        calls += 1
    if not calls:
        return Check(node, what, passed_over=f"it takes over {SECONDS:.0f} s")
    return Check(node, f"{what}, {calls} times")


class _Clock:
    """The time that one node has for all its calls."""

    def __init__(self) -> None:
        self.ends = perf_counter() + SECONDS
        self.asked = False

    def is_over(self) -> bool:
        """Be what a Context asks whether the run was cancelled."""
        self.asked = True
        return perf_counter() > self.ends


def why_not(spec: NodeSpec) -> str:
    """Say why a node cannot be called blindly, or ""."""
    if any(port.type.kind == "file" and port.required for port in spec.inputs.values()):
        return "it reads or writes files"
    if any(port.type.destination for port in spec.inputs.values()):
        return "it writes files"
    lacking = [port.name for port in spec.inputs.values() if not values_of(port)]
    return f"no example of {', '.join(lacking)}" if lacking else ""


def _call(
    spec: NodeSpec, function: Callable[..., Any], arguments: Mapping[str, Any], clock: _Clock
) -> str:
    """Call a node twice with the same values; return what is wrong, or "".

    Raises:
        Cancelled: the time is over.
    """
    if clock.is_over():
        raise Cancelled
    clock.asked, began = False, perf_counter()
    given = {n: conform(plain(value), spec.inputs[n].type) for n, value in arguments.items()}
    before, state = contents(list(given.values())), _surroundings()
    answers: list[Any] = []
    with scratch() as out:
        for _ in range(2):
            first = contents(answers)
            context = Context(out=out, cancelled=clock.is_over, lasting=spec.lasting)
            answer, fault = _once(spec, function, given, context)
            fault = fault or _harm(before, list(given.values()), state)
            if not fault and changed(first, contents(answers)):
                fault = "changed what it had given before; return a new value at each call"
            if fault or not answer:
                return fault
            answers += answer
    if not clock.asked and perf_counter() - began > SILENT:
        return "took long without a word; call Context.progress, where it can be stopped"
    return _outputs(spec, answers)


def _once(
    spec: NodeSpec, function: Callable[..., Any], given: Mapping[str, Any], context: Context
) -> tuple[list[Any], str]:
    """Call a node; return what it gave, or nothing where it refused, and what was wrong.

    Raises:
        Cancelled: the time is over.
    """
    heard = io.StringIO()
    lent = {spec.context: context} if spec.context else {}
    answers: list[Any] = []
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            answers.append(function(**given, **lent))
    except ValueError as error:
        if not str(error).strip():
            return [], "raised a ValueError without words"
    except (KeyboardInterrupt, Cancelled):
        raise
    except BaseException as error:  # noqa: BLE001 (a stranger's code)
        return [], f"raised {reason(error)}; raise a ValueError in words for what cannot be"
    finally:
        context.close()
    if heard.getvalue():
        return [], "printed something; use Context.progress or Context.note"
    return answers, ""


def _harm(before: Any, given: list[Any], state: Mapping[str, Any]) -> str:
    """Say what a call has changed that others rely on, or ""."""
    if changed(before, contents(given)):
        return "changed a value that it was given; return a new one"
    after = _surroundings()
    if after.pop("folder") != state["folder"]:
        os.chdir(state["folder"])
        return "changed the current folder; use absolute paths, such as those of Context.scratch"
    known = after.keys() & state.keys()  # without generators that were imported since
    if any(after[name] != state[name] for name in known):
        return "used the global random state; use a generator of its own, with a seed"
    return ""


def _outputs(spec: NodeSpec, answers: list[Any]) -> str:
    """Look at what two calls gave."""
    for name, output in spec.outputs.items():
        pair = [getattr(each, name) if spec.several else each for each in answers]
        try:
            conform(pair[0], output.type)
        except Misfit as misfit:
            return f"output {name!r}: {misfit}"
        if spec.cache and _digest(pair[0]) != _digest(pair[1]):
            return f"output {name!r} differs between two equal calls; say @node(cache=False)"
        fault = _stored(pair[0])
        if fault:
            return f"output {name!r}: {fault}"
    return ""


def _stored(value: Any) -> str:
    declared = declared_port(value)
    if declared is None or not (declared.codec.can("dump") and declared.codec.can("restore")):
        return ""
    with scratch() as folder:
        try:
            declared.codec.dump(value, folder)
            files = [path for path in folder.rglob("*") if path.is_file()]
            if any(path.read_bytes()[:1] == b"\x80" for path in files):
                return "is stored as pickle; use safetensors, npy or JSON"
            back = declared.codec.restore(folder)
        except Exception as error:  # noqa: BLE001 (a stranger's code)
            return f"cannot be stored and restored: {reason(error)}"
    return "" if _digest(back) == _digest(value) else "is not the same after it was stored"


def _digest(value: Any) -> Any:
    """Return what two equal values have in common; None of what cannot say."""
    declared = declared_port(value)
    if declared is not None:
        return declared.codec.digest(value) if declared.codec.can("digest") else None
    if is_list(value):
        return [_digest(item) for item in value]
    return json.dumps(value, sort_keys=True, default=repr)


def _surroundings() -> dict[str, Any]:
    """Return the state of every global generator that is there, and the current folder."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    found: dict[str, Any] = {"random": random.getstate(), "folder": Path.cwd()}
    if numpy is not None:
        found["numpy"] = repr(numpy.random.get_state())
    if torch is not None:
        found["torch"] = bytes(torch.get_rng_state().tolist())
    return found


def _class_of(identity: str) -> Any:
    module, _, name = identity.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _said(arguments: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for name, value in arguments.items():
        own = plain(value)
        port: Port | None = declared_port(own)
        shown = port.codec.describe(own) if port and port.codec.can("describe") else repr(own)
        parts.append(f"{name}={shown[:40]}")
    return ", ".join(itertools.islice(parts, 8))


__all__ = ["Check", "PackageError", "Trial", "trials", "try_package"]
