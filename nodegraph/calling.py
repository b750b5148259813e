"""One call of a node: what it is lent, what it gave, what is kept of that for the next run."""

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from .context import Cancelled, Context
from .errors import NodeError, PackageError, in_words, reason
from .frame import Frame
from .journal import Event
from .kept import Kept
from .notes import Notes
from .outputs import Claims
from .plan import Step
from .ports import declared_port
from .settings import Settings
from .values import Misfit, conform

_EVERY: Final = 0.05
"""Seconds between progress events of a node; the last one is always told."""


class Unheard(BaseException):
    """A listener raised: no fault of the node at work, which is not to catch it either."""


class Caller:
    """Calls the nodes of one run, from several threads at once."""

    def __init__(
        self,
        settings: Settings,
        kept: Kept,
        tell: Callable[..., None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.kept = kept
        self.notes = Notes()
        self.claims = Claims()
        self.functions: dict[Any, Callable[..., Any]] = {}
        self._tell = tell
        self._cancelled = cancelled
        self._contexts: set[Context] = set()

    def close(self) -> None:
        """Clean up after calls that have not come to an end."""
        for context in list(self._contexts):
            context.close()

    def stop_if_cancelled(self, name: str = "") -> None:
        """Raise Cancelled where the run is to end, and tell so."""
        if self._cancelled():
            self._tell("cancelled", **({"node": name} if name else {}))
            raise Cancelled

    def arguments(self, frame: Frame, step: Step) -> dict[str, Any]:
        """Gather what a step takes; its links are brought into the types of its ports."""
        arguments = dict(step.constants)
        for port, value in frame.arriving(step):
            try:
                arguments[port] = conform(value, step.spec.inputs[port].type)
            except Misfit as misfit:
                name = frame.name(step)
                self._tell("failed", node=name, error=f"{name}.{port}: {misfit}")
                raise NodeError(f"{name}.{port}: {misfit}", node=name, port=port) from misfit
        return arguments

    def attempt(self, frame: Frame, step: Step, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a step's function and return its outputs; told when begun and when over."""
        name = frame.name(step)
        self.stop_if_cancelled(name)
        if step.stored:
            return self._restored(frame, step)
        self._tell("started", node=name, type=step.type)
        began = perf_counter()
        try:
            outputs, held = self._kept(name, step, self._call(frame, step, arguments))
        except NodeError as error:
            self._tell("failed", node=name, error=str(error))
            raise
        except (KeyboardInterrupt, Cancelled):
            self._tell("cancelled", node=name)
            raise
        seconds = round(perf_counter() - began, 6)
        self._tell("finished", node=name, seconds=seconds, bytes=held, peak_mib=peak())
        self.keep(frame, step, outputs, seconds)
        if self.settings.checkpoint and self.settings.store:
            self.settings.store.finish(frame.key_of(step))
        return outputs

    def keep(self, frame: Frame, step: Step, outputs: dict[str, Any], seconds: float) -> None:
        """Keep a result for the next run, if it took long enough; told when that fails for good."""
        store, key = self.settings.store, frame.key_of(step)
        if not key or seconds < self.kept.least:
            return
        before = store.fault if store is not None else ""
        self.kept.put(key, step.type, outputs, self.notes.kept(frame, step))
        if store is not None and store.fault and not before:
            self._tell("store_off", why=store.fault)

    def _restored(self, frame: Frame, step: Step) -> dict[str, Any]:
        """Give back a kept result, and what its node and those before it said."""
        outputs, notes, where = self.kept.get(step.stored)
        for name, said in self.notes.restore(frame, step, notes):
            for about, value in said.items():
                self._tell("note", node=name, about=about, value=value)
        self._tell("cached", node=frame.name(step), type=step.type, where=where)
        return outputs

    def _call(self, frame: Frame, step: Step, arguments: dict[str, Any]) -> Any:
        context = self._context(frame, step) if step.spec.context else None
        if context is not None:
            arguments[step.spec.context] = context
            self._contexts.add(context)
        try:
            return self.functions[step.function](**arguments)
        except (PackageError, KeyboardInterrupt, Cancelled, Unheard):
            raise
        except BaseException as error:  # a node that calls `sys.exit` has failed like any other
            name = frame.name(step)
            raise NodeError(_failure(name, step, error), node=name) from error
        finally:
            if context is not None:
                context.close()
                self._contexts.discard(context)
                self.notes.add(frame.name(step), context.notes)

    def _kept(self, name: str, step: Step, result: Any) -> tuple[dict[str, Any], int]:
        """Return a step's results by port, and how many bytes are known of."""
        held = 0
        outputs: dict[str, Any] = {}
        for port, output in step.spec.outputs.items():
            try:  # blame the node that gave a wrong value, not the one that stumbles over it
                value = getattr(result, port) if step.spec.several else result
                outputs[port] = conform(value, output.type)
                declared = declared_port(value)
                if declared is not None and declared.codec.can("size"):
                    held += declared.codec.size(value)
            except Exception as error:
                why = error if isinstance(error, Misfit) else reason(error)
                message = f"{name} ({step.type}): result {port!r} does not fit: {why}"
                raise NodeError(message, node=name, port=port) from error
        return outputs, held

    def _context(self, frame: Frame, step: Step) -> Context:
        last = [0.0]
        name, record = frame.name(step), self.settings.record

        def report(done: int, total: int, message: str) -> None:
            now = perf_counter()
            if done >= total or now - last[0] >= _EVERY:
                last[0] = now
                told: Event = {"node": name, "done": done, "total": total}
                self._tell("progress", **told, **({"message": message} if message else {}))

        key = frame.key_of(step) if self.settings.checkpoint else ""
        here = step.spec.device == "cpu"  # what the run computes on, and in, is nothing to it
        return Context(
            partial=self.kept.partial(key),
            every=self.settings.checkpoint,
            device="cpu" if here else self.settings.device,
            dtype="auto" if here else self.settings.dtype,
            out=self.settings.out,
            record=record and self.notes.within(record, frame, step),
            report=report,
            tell=lambda about, value: self._tell("note", node=name, about=about, value=value),
            cancelled=self._cancelled,
            items=frame.items,
            claim=lambda file: self.claims.take(file, name),
            lasting=step.spec.lasting,
        )


def peak() -> int:
    """Return the most memory that this process has held so far, in MiB; 0 where none can tell."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> (20 if sys.platform == "darwin" else 10)


def _failure(name: str, step: Step, error: BaseException) -> str:
    return f"{name} ({step.type}): {in_words(error)}"
