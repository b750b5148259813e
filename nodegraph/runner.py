"""Runs a plan: one lane for the device, threads for the CPU, values dropped after their use."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from time import perf_counter, time
from typing import Any, Final

from .context import Cancelled, Context
from .errors import NodeError, PackageError, Problem, WorkflowError, in_words, reason
from .frame import SKIPPED, Frame, Group
from .journal import Event, Listener
from .keys import FrameKeys, Keys
from .notes import Notes
from .outputs import Claims
from .plan import Plan, Step
from .ports import declared_port
from .reuse import reuse, stored_ends
from .store import Damaged, Store
from .values import Misfit, conform

DEVICES: Final = r"cpu|cuda(:[0-9]{1,3})?"
DTYPES: Final = ("auto", "float32", "bfloat16", "float16")
_EVERY: Final = 0.05
"""Seconds between progress events of a node; the last one is always told."""
_GRACE: Final = 1.5
"""Seconds that a run which ends early gives its threads to come to an end."""
_POLL: Final = 0.1
"""Seconds after which a run that waits for its threads asks whether it was cancelled."""

Ready = tuple[tuple[int, ...], Frame, int]
"""A step that can run: its place in the order, its frame, its place in the plan."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a run happens."""

    out: Path
    device: str = "cpu"
    dtype: str = "auto"
    cancelled: Callable[[], bool] | None = None
    record: Mapping[str, Any] | None = None
    """What written pictures carry: how they came about."""
    threads: int = min(4, os.cpu_count() or 1)
    """Nodes on the CPU that run at once, beside the one on the device."""
    store: Store | None = None
    """Where results are kept for the next run."""
    checkpoint: int = 0
    """Steps after which long nodes keep their state, to go on from after a crash; 0 for never."""

    def __post_init__(self) -> None:
        if not re.fullmatch(DEVICES, self.device):
            message = f"{self.device!r} is no device; write cpu, cuda or cuda:1"
            raise WorkflowError([Problem("bad_device", "", message)])
        if self.dtype not in DTYPES:
            message = f"{self.dtype!r} is no dtype; write {', '.join(DTYPES)}"
            raise WorkflowError([Problem("bad_dtype", "", message)])


class _Unheard(BaseException):
    """A listener raised: no fault of the node at work, which is not to catch it either."""


class Runner:
    """Executes plans; listeners hear every event, one at a time.

    Nodes for the device run in the calling thread, in the order of the file. Nodes that never use
    it run in threads beside them, unless there is nothing beside them.
    """

    def __init__(
        self, settings: Settings, listeners: Sequence[Listener] = (), keys: Keys | None = None
    ) -> None:
        self.settings = settings
        self.listeners = listeners
        self.keys = keys if settings.store else None
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        """Forget what was done, as before the first step."""
        self.notes = Notes()
        self.claims = Claims()
        self._stopped = False
        self._functions: dict[Any, Callable[..., Any]] = {}
        self.known: FrameKeys | None = None
        """The keys of the flow's results."""
        self._fresh: list[tuple[Frame, int]] = []
        self._device: list[Ready] = []
        self._cpu: list[Ready] = []
        self._running = 0
        self._contexts: set[Context] = set()
        self._futures: set[Future[None]] = set()
        self._done: SimpleQueue[tuple[Frame, int, Any]] = SimpleQueue()

    def run(self, plan: Plan) -> dict[str, Any]:
        """Run every step and return the flow's outputs by name, without those that were skipped.

        Raises:
            NodeError: a node raised, or gave something else than it declares.
            PackageError: a package could not be imported.
            Cancelled: the run was cancelled.
        """
        while True:
            try:
                return self._run(plan)
            except Damaged as damage:  # the entry is dropped: without it there is more to run
                self._tell("damaged", why=str(damage))
                self._begin()

            except _Unheard as unheard:
                raise (unheard.__cause__ or unheard) from None

    def _run(self, plan: Plan) -> dict[str, Any]:
        self._tell("loading", nodes=len(plan.steps))
        self.known = keys = self.keys.of(plan) if self.keys else None
        plan = self._left(plan, keys)
        for step in _every(plan):  # imported before anything runs
            if step.body is None and not step.stored:
                assert step.function is not None
                self._functions[step.function] = step.function()
        self._tell("planned", nodes=len(plan.steps))
        whole = Frame(plan, keys=keys)
        self._open(whole)
        pool = ThreadPoolExecutor(self.settings.threads, "nodegraph")
        try:
            self._work(pool)
        finally:
            self._stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            self._abandon()
        outputs = {name: whole.values[source] for name, source in plan.outputs.items()}
        return {name: value for name, value in outputs.items() if value is not SKIPPED}

    def _abandon(self) -> None:
        """Wait a little for threads that are still at work, and clean up after the others."""
        wait(list(self._futures), _GRACE)
        for context in list(self._contexts):
            context.close()

    def _left(self, plan: Plan, keys: FrameKeys | None) -> Plan:
        """Return what is left to do of a plan, where results are stored."""
        store = self.settings.store
        return reuse(plan, keys, store) if store and keys else plan

    # The order of things

    def _work(self, pool: ThreadPoolExecutor) -> None:
        """Run what is ready until nothing is left; what fails ends it."""
        while True:
            self._admit()
            if not (self._device or self._cpu or self._running):
                return
            if not self._device and not self._running and len(self._cpu) == 1:
                self._here(self._cpu)  # nothing is beside it, so a thread would gain nothing
                continue
            while self._cpu:
                self._start(pool)
            if self._device:
                self._here(self._device)
                self._collect(wait=False)
            else:
                self._collect(wait=True)

    def _admit(self) -> None:
        """Sort steps that wait for nothing any more: to be run, opened, or skipped."""
        while self._fresh:
            frame, index = self._fresh.pop()
            step = frame.plan.steps[index]
            lacking = frame.lacking(step)
            if lacking:
                self._skip(frame, index, lacking)
            elif step.body is not None:
                self._open_group(frame, index)
            else:
                lane = self._cpu if step.spec.device == "cpu" else self._device
                heappush(lane, ((*frame.key, index), frame, index))

    def _here(self, lane: list[Ready]) -> None:
        _, frame, index = heappop(lane)
        step = frame.plan.steps[index]
        self._finish(frame, index, self._attempt(frame, step, self._arguments(frame, step)))

    def _start(self, pool: ThreadPoolExecutor) -> None:
        """Hand a step to the threads, with what it takes."""
        _, frame, index = heappop(self._cpu)
        step = frame.plan.steps[index]
        arguments = self._arguments(frame, step)

        def attempt() -> None:
            try:
                result: Any = self._attempt(frame, step, arguments)
            except BaseException as error:  # noqa: BLE001 (raised again by who waits for it)
                result = error
            self._done.put((frame, index, result))

        self._running += 1
        future = pool.submit(attempt)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def _collect(self, *, wait: bool) -> None:
        """Take over what threads have finished; with `wait`, at least one step, if any runs."""
        while self._running:
            try:
                frame, index, result = self._done.get(wait, _POLL)
            except Empty:
                if not wait:
                    return
                self._stop_if_cancelled("")
                continue
            self._running -= 1
            wait = False
            if isinstance(result, BaseException):
                raise result
            self._finish(frame, index, result)

    def _finish(self, frame: Frame, index: int, outputs: dict[str, Any]) -> None:
        frame.keep(frame.plan.steps[index].id, outputs)
        self._fresh += [(frame, follower) for follower in frame.done(index)]
        if not frame.left and frame.group is not None:
            self._close(frame, frame.group)

    def _skip(self, frame: Frame, index: int, because: str) -> None:
        step = frame.plan.steps[index]
        self._tell("skipped", node=frame.name(step), because=because)
        for _ in frame.arriving(step):
            pass  # taken, so that it can be dropped
        self._finish(frame, index, dict.fromkeys(step.spec.outputs, SKIPPED))

    # Groups

    def _open(self, frame: Frame) -> None:
        self._fresh += [(frame, index) for index in frame.beginnings()]
        if not frame.left and frame.group is not None:
            self._close(frame, frame.group)

    def _open_group(self, frame: Frame, index: int) -> None:
        """Begin a step that has a body, some of its items side by side."""
        step = frame.plan.steps[index]
        name = frame.name(step)
        self._tell("started", node=name, type=step.type)
        arguments = self._arguments(frame, step)
        found = {port: len(arguments[port]) for port in step.mapped}
        if len(set(found.values())) > 1:
            counts = " and ".join(f"{port} has {count}" for port, count in found.items())
            message = f"{name}: is mapped over lists of unlike length: {counts}; make them equal"
            self._tell("failed", node=name, error=message)
            raise NodeError(message, node=name)
        count = next(iter(found.values())) if found else 1
        group = Group(frame, index, arguments, count, perf_counter())
        if not count:
            self._end(group)
        for _ in range(min(count, max(2, self.settings.threads))):
            self._open(self._item(group))

    def _item(self, group: Group) -> Frame:
        """Begin the next item of a group."""
        step, keys = group.step, group.frame.keys
        assert step.body is not None
        if not keys or not self.keys:
            return group.open(step.body, None)
        if not step.mapped:
            return group.open(step.body, keys.bodies[step.id])  # what is stored is out already
        inner = self.keys.item(step, keys.given[step.id], group.opened)
        return group.open(self._left(step.body, inner), inner)

    def _close(self, frame: Frame, group: Group) -> None:
        """Take over a finished item, and begin the next or end the group."""
        group.close(frame)
        if group.step.mapped:
            self._tell("progress", node=group.name, done=group.finished, total=group.count)
        if group.opened < group.count:
            self._open(self._item(group))
        elif group.finished == group.count:
            self._end(group)

    def _end(self, group: Group) -> None:
        seconds = round(perf_counter() - group.began, 6)
        self._tell("finished", node=group.name, seconds=seconds, bytes=0, peak_mib=_peak())
        store, step = self.settings.store, group.step
        if store is not None and group.frame.key_of(step):
            ends = zip(group.keys, group.results, strict=True)
            parts = [stored_ends(keys, outputs, store) for keys, outputs in ends]
            self._store(group.frame, step, group.joined(parts), seconds)
        self._finish(group.frame, group.index, group.outputs())

    # One call

    def _arguments(self, frame: Frame, step: Step) -> dict[str, Any]:
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

    def _attempt(self, frame: Frame, step: Step, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a step's function and return its outputs; told when begun and when over."""
        name = frame.name(step)
        self._stop_if_cancelled(name)
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
        self._tell("finished", node=name, seconds=seconds, bytes=held, peak_mib=_peak())
        if self.keys:
            self._store(frame, step, outputs, seconds)
            if self.settings.checkpoint and self.settings.store:
                self.settings.store.finish(frame.key_of(step))
        return outputs

    def _restored(self, frame: Frame, step: Step) -> dict[str, Any]:
        """Give back a stored result, and what its node and those before it said."""
        assert self.settings.store is not None
        outputs, notes = self.settings.store.get(step.stored)
        for name, said in self.notes.restore(frame, step, notes):
            for about, value in said.items():
                self._tell("note", node=name, about=about, value=value)
        self._tell("cached", node=frame.name(step), type=step.type)
        return outputs

    def _store(self, frame: Frame, step: Step, outputs: dict[str, Any], seconds: float) -> None:
        """Keep a result for the next run, if it took long enough and has a form on disk."""
        store, key = self.settings.store, frame.key_of(step)
        if store is None or not key or store.fault or seconds < store.least:
            return
        store.put(key, step.type, outputs, self.notes.kept(frame, step))
        if store.fault:
            self._tell("store_off", why=store.fault)

    def _call(self, frame: Frame, step: Step, arguments: dict[str, Any]) -> Any:
        context = self._context(frame, step) if step.spec.context else None
        if context is not None:
            arguments[step.spec.context] = context
            self._contexts.add(context)
        try:
            return self._functions[step.function](**arguments)
        except (PackageError, KeyboardInterrupt, Cancelled, _Unheard):
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
        store = self.settings.store
        return Context(
            partial=store.partial(key) if store and key else None,
            every=self.settings.checkpoint,
            device="cpu" if step.spec.device == "cpu" else self.settings.device,
            dtype=self.settings.dtype,
            out=self.settings.out,
            record=record and self.notes.within(record, frame, step),
            report=report,
            tell=lambda about, value: self._tell("note", node=name, about=about, value=value),
            cancelled=self._is_cancelled,
            items=frame.items,
            claim=lambda file: self.claims.take(file, name),
        )

    def _is_cancelled(self) -> bool:
        asked = self.settings.cancelled
        try:
            return self._stopped or (asked is not None and asked())
        except Exception as error:
            raise _Unheard from error

    def _stop_if_cancelled(self, name: str) -> None:
        if self._is_cancelled():
            self._tell("cancelled", **({"node": name} if name else {}))
            raise Cancelled

    def tell(self, event: str, **data: Any) -> None:
        """Let every listener hear an event that is none of the runner's own."""
        try:
            self._tell(event, **data)
        except _Unheard as unheard:
            raise (unheard.__cause__ or unheard) from None

    def _tell(self, event: str, **data: Any) -> None:
        """Let every listener hear an event; what one of them raises ends the run as it is."""
        with self._lock:
            told: Event = {"event": event, "time": round(time(), 6), **data}
            try:
                for listener in self.listeners:
                    listener(told)
            except Exception as error:
                raise _Unheard from error


def _every(plan: Plan) -> Iterator[Step]:
    """Yield the steps of a plan and of all bodies in it."""
    pending = [plan]
    while pending:
        for step in pending.pop().steps:
            yield step
            if step.body is not None:
                pending.append(step.body)


def _peak() -> int:
    """Return the most memory that this process has held so far, in MiB; 0 where none can tell."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> (20 if sys.platform == "darwin" else 10)


def _failure(name: str, step: Step, error: BaseException) -> str:
    return f"{name} ({step.type}): {in_words(error)}"
