"""One plan at work: its values, what waits for what, and the group that it belongs to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from .keys import FrameKeys
from .plan import INPUTS, Plan, Source, Step


class _Skipped:
    """What stands in the place of a value that a skipped node did not make."""

    def __repr__(self) -> str:
        return "skipped"


SKIPPED: Final = _Skipped()


@dataclass(slots=True, eq=False)
class Frame:
    """A plan that runs once: a whole flow, or the body of a group for one item."""

    plan: Plan
    prefix: str = ""
    """The id of the group, and the item of it, as events and messages say them."""
    key: tuple[int, ...] = ()
    """Its place among all frames: what stands first in the file goes first."""
    group: "Group | None" = None
    keys: FrameKeys | None = None
    """The keys of its steps, where results are stored."""
    values: dict[Source, Any] = field(default_factory=dict[Source, Any])
    uses: dict[Source, int] = field(default_factory=dict[Source, int])
    waits: list[int] = field(default_factory=list[int])
    left: int = 0

    def __post_init__(self) -> None:
        self.uses = dict(self.plan.uses)
        self.waits = list(self.plan.waits)
        self.left = len(self.plan.steps)

    def key_of(self, step: Step) -> str:
        """Return the key of a step's result, or "" where it has none."""
        return self.keys.steps[step.id] if self.keys else ""

    def name(self, step: Step) -> str:
        """Return the id of a step as events and messages say it: `prepare[3]/edges`."""
        if not self.prefix:
            return step.id
        return f"{self.prefix}/{step.id}" if step.id else self.prefix

    @property
    def items(self) -> tuple[int, ...]:
        """Return the numbers, from 1, of the items that this frame is for, from the outermost."""
        if self.group is None:
            return ()
        own = (self.key[-1] + 1,) if self.group.step.mapped else ()
        return self.group.frame.items + own

    def beginnings(self) -> Iterator[int]:
        """Yield the places of steps that wait for nothing."""
        return (index for index, count in enumerate(self.plan.waits) if not count)

    def keep(self, step: str, outputs: dict[str, Any]) -> None:
        """Keep those outputs of a step that something will take."""
        for port, value in outputs.items():
            source = Source(step, port)
            if source in self.uses:
                self.values[source] = value

    def done(self, index: int) -> list[int]:
        """Count a step as done, and return the steps that now wait for nothing."""
        self.left -= 1
        ready: list[int] = []
        for follower in self.plan.followers[index]:
            self.waits[follower] -= 1
            if not self.waits[follower]:
                ready.append(follower)
        return ready

    def take(self, source: Source) -> Any:
        """Return a value, and drop it when that was its last use."""
        value = self.values[source]
        self.uses[source] -= 1
        if not self.uses[source]:
            del self.values[source]
        return value

    def lacking(self, step: Step) -> str:
        """Say why a step cannot run: its condition, or a skipped node that it needs; else ""."""
        if step.when is False:
            return "when is false"
        if isinstance(step.when, Source) and self.values[step.when] is False:
            return f"{step.when.step} is false"
        needed = [step.when] if isinstance(step.when, Source) else []
        for port, bound in step.links.items():
            if step.spec.inputs[port].required:
                items = bound if isinstance(bound, list) else [bound]
                needed += [item for item in items if isinstance(item, Source)]
        for source in needed:
            if self.values[source] is SKIPPED:
                return f"{source.step} was skipped"
        return ""

    def arriving(self, step: Step) -> Iterator[tuple[str, Any]]:
        """Yield what the links of a step bring, by port; a port with a default may go without."""
        if isinstance(step.when, Source):
            self.take(step.when)
        for port, bound in step.links.items():
            if isinstance(bound, Source):
                value = self.take(bound)
                absent = value is SKIPPED
            else:
                value = [self.take(i) if isinstance(i, Source) else i for i in bound]
                absent = any(item is SKIPPED for item in value)
            if not absent:
                yield port, value

    def ancestors(self, step: Step) -> set[Step]:
        """Return all steps that a step depends on, those too that need not run again."""
        whole = self.keys.plan if self.keys else self.plan
        steps = {each.id: each for each in whole.steps}
        pending = [steps[step.id]]
        found: set[Step] = set()
        while pending:
            before = {steps[s.step] for s in pending.pop().sources if s.step in steps}
            pending += before - found
            found |= before
        return found


@dataclass(slots=True, eq=False)
class Group:
    """A step with a body at work: once, or for each item of the lists that it is mapped over."""

    frame: Frame
    index: int
    arguments: dict[str, Any]
    count: int
    began: float
    opened: int = 0
    finished: int = 0
    results: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: list[FrameKeys | None] = field(default_factory=list[FrameKeys | None])

    def __post_init__(self) -> None:
        self.results = [{} for _ in range(self.count)]
        self.keys = [None] * self.count

    @property
    def step(self) -> Step:
        """The step that has the body."""
        return self.frame.plan.steps[self.index]

    @property
    def name(self) -> str:
        """The group's id as events and messages say it."""
        return self.frame.name(self.step)

    def open(self, plan: Plan, keys: FrameKeys | None) -> Frame:
        """Return the frame of the next item, whose plan is the body or what is left to do of it."""
        step, number = self.step, self.opened
        self.opened += 1
        self.keys[number] = keys
        prefix = f"{self.name}[{number + 1}]" if step.mapped else self.name
        frame = Frame(plan, prefix, (*self.frame.key, self.index, number), self, keys)
        given = {port: self._given(port, number) for port in step.spec.inputs}
        frame.keep(INPUTS, given)
        return frame

    def _given(self, port: str, number: int) -> Any:
        """Return what an item gets at a port; a flow knows its defaults, a node has its own."""
        if port in self.arguments:
            value = self.arguments[port]
            return value[number] if port in self.step.mapped else value
        return self.step.spec.inputs[port].default if self.step.function is None else SKIPPED

    def close(self, frame: Frame) -> None:
        """Take over the outputs of an item that is done."""
        number = frame.key[-1]
        outputs = {name: frame.values[source] for name, source in frame.plan.outputs.items()}
        self.results[number] = outputs
        self.finished += 1

    def outputs(self) -> dict[str, Any]:
        """Return the outputs: lists where it is mapped, without the items that were skipped."""
        return self.joined(self.results)

    def joined(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        """Return by output what is there by item."""
        step = self.step
        assert step.body is not None
        if not step.mapped:
            return results[0]
        return {
            name: [each[name] for each in results if each[name] is not SKIPPED]
            for name in step.body.outputs
        }
