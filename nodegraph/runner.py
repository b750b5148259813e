"""Runs a plan: one lane for the device, threads for the CPU, values dropped after their use."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from heapq import heappop, heappush
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from time import perf_counter, time
from typing import Any, Final

from .calling import Caller, Unheard, peak
from .errors import NodeError
from .frame import SKIPPED, Frame, Group
from .journal import Event, Listener
from .kept import Kept
from .keys import FrameKeys, Keys
from .plan import Plan, Step
from .reuse import reuse, stored_ends
from .settings import Settings
from .store import Damaged

_GRACE: Final = 1.5
"""Seconds that a run which ends early gives its threads to come to an end."""
_POLL: Final = 0.1
"""Seconds after which a run that waits for its threads asks whether it was cancelled."""

Ready = tuple[tuple[int, ...], Frame, int]
"""A step that can run: its place in the order, its frame, its place in the plan."""


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
        self.kept = Kept(settings.store, settings.memory)
        self.keys = keys if self.kept else None
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        """Forget what was done, as before the first step."""
        self._stopped = False
        self.calls = Caller(self.settings, self.kept, self._tell, self._is_cancelled)
        self.known: FrameKeys | None = None
        """The keys of the flow's results."""
        self._fresh: list[tuple[Frame, int]] = []
        self._device: list[Ready] = []
        self._cpu: list[Ready] = []
        self._running = 0
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
            self._begin()
            try:
                return self._run(plan)
            except Damaged as damage:  # the entry is dropped: without it there is more to run
                self._tell("damaged", why=str(damage))
            except Unheard as unheard:
                raise (unheard.__cause__ or unheard) from None

    def _run(self, plan: Plan) -> dict[str, Any]:
        self._tell("loading", nodes=len(plan.steps))
        self.known = keys = self.keys.of(plan) if self.keys else None
        plan = self._left(plan, keys)
        for step in _every(plan):  # imported before anything runs
            if step.body is None and not step.stored:
                assert step.function is not None
                self.calls.functions[step.function] = step.function()
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
        self.calls.close()

    def _left(self, plan: Plan, keys: FrameKeys | None) -> Plan:
        """Return what is left to do of a plan, where results are stored."""
        return reuse(plan, keys, self.kept) if keys else plan

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
        self._finish(
            frame, index, self.calls.attempt(frame, step, self.calls.arguments(frame, step))
        )

    def _start(self, pool: ThreadPoolExecutor) -> None:
        """Hand a step to the threads, with what it takes."""
        _, frame, index = heappop(self._cpu)
        step = frame.plan.steps[index]
        arguments = self.calls.arguments(frame, step)

        def attempt() -> None:
            try:
                result: Any = self.calls.attempt(frame, step, arguments)
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
                self.calls.stop_if_cancelled()
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
        arguments = self.calls.arguments(frame, step)
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
        self._tell("finished", node=group.name, seconds=seconds, bytes=0, peak_mib=peak())
        step = group.step
        if self.kept.store is not None and group.frame.key_of(step):
            ends = zip(group.keys, group.results, strict=True)
            parts = [stored_ends(keys, outputs, self.kept) for keys, outputs in ends]
            self.calls.keep(group.frame, step, group.joined(parts), seconds)
        self._finish(group.frame, group.index, group.outputs())

    def _is_cancelled(self) -> bool:
        asked = self.settings.cancelled
        try:
            return self._stopped or (asked is not None and asked())
        except Exception as error:
            raise Unheard from error

    def undo(self, changed: Sequence[Path]) -> None:
        """Keep nothing of this run, since files have changed under it; told to listeners."""
        self.kept.undo()
        self.tell("changed", files=[str(path) for path in changed])

    def tell(self, event: str, **data: Any) -> None:
        """Let every listener hear an event that is none of the runner's own."""
        try:
            self._tell(event, **data)
        except Unheard as unheard:
            raise (unheard.__cause__ or unheard) from None

    def _tell(self, event: str, **data: Any) -> None:
        """Let every listener hear an event; what one of them raises ends the run as it is."""
        with self._lock:
            told: Event = {"event": event, "time": round(time(), 6), **data}
            try:
                for listener in self.listeners:
                    listener(told)
            except Exception as error:
                raise Unheard from error


def _every(plan: Plan) -> Iterator[Step]:
    """Yield the steps of a plan and of all bodies in it."""
    pending = [plan]
    while pending:
        for step in pending.pop().steps:
            yield step
            if step.body is not None:
                pending.append(step.body)
