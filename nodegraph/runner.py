"""Runs a plan: one node at a time, values dropped after their last use, every event told."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time
from typing import Any

from .context import Cancelled, Context
from .errors import NodeError, PackageError, reason
from .journal import Event, Listener
from .plan import Bound, Plan, Source, Step
from .ports import declared_port
from .values import Misfit, conform

_EVERY: float = 0.05
"""Seconds between progress events of a node; the last one is always told."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a run happens."""

    out: Path
    device: str = "cpu"
    dtype: str = "auto"
    cancelled: Callable[[], bool] | None = None
    record: Mapping[str, Any] | None = None
    """What written pictures carry: how they came about."""


@dataclass(slots=True)
class Runner:
    """Executes plans; listeners hear every event."""

    settings: Settings
    listeners: Sequence[Listener] = ()
    values: dict[Source, Any] = field(default_factory=dict[Source, Any])

    def run(self, plan: Plan) -> dict[str, Any]:
        """Run every step and return the flow's outputs by name.

        Raises:
            NodeError: a node raised, or gave something else than it declares.
            PackageError: a package could not be imported.
            Cancelled: the run was cancelled.
        """
        self._tell("loading", nodes=len(plan.steps))
        functions = [step.function() for step in plan.steps]  # imported before anything runs
        self._tell("planned", nodes=len(plan.steps))
        for step, function, releases in zip(plan.steps, functions, plan.releases, strict=True):
            self._step(step, function)
            for source in releases:
                del self.values[source]
        outputs = {name: self.values[source] for name, source in plan.outputs.items()}
        self.values.clear()
        return outputs

    def _step(self, step: Step, function: Callable[..., Any]) -> None:
        cancelled = self.settings.cancelled
        if cancelled is not None and cancelled():
            self._tell("cancelled", node=step.id)
            raise Cancelled
        self._tell("started", node=step.id, type=step.type)
        began = perf_counter()
        try:
            held = self._keep(step, self._call(step, function))
        except NodeError as error:
            self._tell("failed", node=step.id, error=str(error))
            raise
        except (KeyboardInterrupt, Cancelled):
            self._tell("cancelled", node=step.id)
            raise
        seconds = round(perf_counter() - began, 6)
        self._tell("finished", node=step.id, seconds=seconds, bytes=held, peak_mib=_peak())

    def _call(self, step: Step, function: Callable[..., Any]) -> Any:
        arguments = dict(step.constants)
        for port, bound in step.links.items():
            arguments[port] = self._arriving(step, port, bound)
        context = self._context(step) if step.spec.context else None
        if context is not None:
            arguments[step.spec.context] = context
        try:
            return function(**arguments)
        except (PackageError, KeyboardInterrupt, Cancelled):
            raise
        except BaseException as error:  # a node that calls `sys.exit` has failed like any other
            raise NodeError(_failure(step, error), node=step.id) from error
        finally:
            if context is not None:
                context.close()

    def _arriving(self, step: Step, port: str, bound: Bound) -> Any:
        value: Any
        if isinstance(bound, list):
            value = [self.values[i] if isinstance(i, Source) else i for i in bound]
        else:
            value = self.values[bound]
        try:
            return conform(value, step.spec.inputs[port].type)
        except Misfit as misfit:
            raise NodeError(f"{step.id}.{port}: {misfit}", node=step.id, port=port) from misfit

    def _keep(self, step: Step, result: Any) -> int:
        """Keep a step's results until their last use, and say how many bytes are known of."""
        held = 0
        for name, port in step.spec.outputs.items():
            try:  # blame the node that gave a wrong value, not the one that stumbles over it
                value = getattr(result, name) if step.spec.several else result
                self.values[Source(step.id, name)] = conform(value, port.type)
                declared = declared_port(value)
                if declared is not None and declared.codec.can("size"):
                    held += declared.codec.size(value)
            except Exception as error:
                why = error if isinstance(error, Misfit) else reason(error)
                message = f"{step.id} ({step.type}): result {name!r} does not fit: {why}"
                raise NodeError(message, node=step.id, port=name) from error
        return held

    def _context(self, step: Step) -> Context:
        last = [0.0]

        def report(done: int, total: int, message: str) -> None:
            now = perf_counter()
            if done >= total or now - last[0] >= _EVERY:
                last[0] = now
                told: Event = {"node": step.id, "done": done, "total": total}
                self._tell("progress", **told, **({"message": message} if message else {}))

        return Context(
            device="cpu" if step.spec.device == "cpu" else self.settings.device,
            dtype=self.settings.dtype,
            out=self.settings.out,
            record=self.settings.record,
            report=report,
            cancelled=self.settings.cancelled,
        )

    def _tell(self, event: str, **data: Any) -> None:
        told: Event = {"event": event, "time": round(time(), 6), **data}
        for listener in self.listeners:
            listener(told)


def _peak() -> int:
    """Return the most memory that this process has held so far, in MiB; 0 where none can tell."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> (20 if sys.platform == "darwin" else 10)


def _failure(step: Step, error: BaseException) -> str:
    said = reason(error)
    if isinstance(error, ValueError):  # raised to tell the user, who knows no classes
        said = said.partition(": ")[2] or "no reason given"
    return f"{step.id} ({step.type}): {said}"
