"""nodegraph as a library: check a flow, run it, get its outputs as values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from time import time
from typing import Any

from . import __version__, reading
from .checking import Checked, check_workflow
from .digests import Digests
from .errors import Problem, WorkflowError
from .journal import Journal, Listener
from .keys import Keys
from .memory import Memory, memory_limit
from .models import Models
from .notes import with_notes
from .outputs import Written, write_outputs
from .packages import Packages
from .plan import Plan
from .reach import Reach, allowed_folders
from .record import make_record
from .runner import Runner
from .settings import Settings
from .store import Store, store_folder, store_limit
from .values import near
from .why import MOST, remember
from .workflow import Literal, Workflow
from .writing import sweep

Flow = str | Path | Mapping[str, Any] | Workflow


class Outputs(Mapping[str, Any]):
    """What a run produced, by name: `outputs["image"]` or `outputs.image`."""

    def __init__(
        self,
        values: Mapping[str, Any],
        written: Sequence[Written] = (),
        saved: Iterable[str] = (),
    ) -> None:
        self._values = dict(values)
        self.written = tuple(written)
        self.saved = tuple(saved)
        """Files that nodes wrote into the folder."""

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no output {name!r}{near(name, self._values)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(self._values)})"


@dataclass(frozen=True)
class Session:
    """A flow with the values given to it, and what is installed and where models are."""

    flow: Workflow
    given: dict[str, Literal] = field(default_factory=dict[str, Literal])
    packages: Packages = field(default_factory=Packages.installed)
    models: Models = field(default_factory=Models.searching)
    digests: Digests = field(default_factory=Digests.of_user)
    reach: Reach | None = None
    """Where paths in the flow may lead; None for its own folder and the working directory."""
    explained: bool = True
    """Keep for `why` what the keys of this flow's results were made of."""

    def check(self, *, running: bool = False) -> Checked:
        """Find everything that is wrong, before anything is loaded."""
        known = self.packages, self.models, self.reach
        return check_workflow(self.flow, self.given, *known, running=running)

    def run(
        self, settings: Settings, *, write: bool = True, listeners: Sequence[Listener] = ()
    ) -> Outputs:
        """Check, run, write the outputs and the journal.

        Raises:
            WorkflowError: the flow or the values are wrong; nothing was run.
            NodegraphError: the folder cannot be written, a package is broken, or a node failed.
        """
        try:
            return self.once(settings, write=write, listeners=listeners)
        finally:
            self.close(settings.store)

    def once(
        self, settings: Settings, *, write: bool = True, listeners: Sequence[Listener] = ()
    ) -> Outputs:
        """Do what `run` does, where more runs follow and only the last one calls `close`."""
        self.packages.refresh()
        checked = self.check(running=True)
        if checked.plan is None:
            raise WorkflowError(checked.problems)
        self.digests.begin()
        runner = Runner(settings, listeners, self.keys(checked.plan, settings))
        try:
            if not write:
                return Outputs(self._values(runner, checked.plan))
            return self._written(checked, checked.plan, runner)
        finally:
            if settings.store and runner.known is not None and runner.known.parts:
                assert self.flow.file is not None
                remember(settings.store.folder, self.flow.file, runner.known)

    def _values(self, runner: Runner, plan: Plan) -> dict[str, Any]:
        """Run; what was made while a file changed is not kept: its key may be that of the other."""
        try:
            return runner.run(plan)
        finally:
            if runner.keys and runner.kept.touched:
                changed = [*self.digests.changed(), *runner.keys.changed()]
                if changed:
                    runner.undo(list(dict.fromkeys(changed)))

    def close(self, store: Store | None) -> None:
        """Keep the digests of files that were read, and hold the store to its limit."""
        self.digests.remember()
        if store:
            store.trim()

    def keys(self, plan: Plan, settings: Settings) -> Keys:
        """Return what makes the keys of this flow's results."""
        parts = self.explained and self.flow.file is not None and len(plan.steps) <= MOST
        return Keys(self.packages, self.digests, settings.device, settings.dtype, parts=parts)

    def _written(self, checked: Checked, plan: Plan, runner: Runner) -> Outputs:
        """Run, and write outputs and journal."""
        settings = runner.settings
        told = {"device": settings.device, "dtype": settings.dtype}
        with _open_journal(settings.out) as journal:
            heard: list[Listener] = [journal, *runner.listeners]
            runner.listeners = heard
            head = {"flow": self.flow.name, "inputs": checked.inputs, **told}
            journal({"event": "run", "time": round(time(), 6), "nodegraph": __version__, **head})
            record = make_record(self.flow, checked, self.packages, told, self.digests)
            runner.settings = replace(settings, record=record)
            values = self._values(runner, plan)
            record = with_notes(record, runner.calls.notes.said)
            written: list[Written] = []

            def tell(item: Written) -> None:
                written.append(item)
                path = str(item.path) if item.path else None
                runner.tell("written", output=item.name, path=path, about=item.about)

            saved = tuple(runner.calls.claims.files)
            write_outputs(values, settings.out, record, runner.calls.claims, tell)
            return Outputs(values, written, saved)


def check(
    flow: Flow,
    *,
    models: Sequence[str | Path] = (),
    inputs: Mapping[str, Any] | None = None,
    allow: Sequence[str | Path] = (),
) -> tuple[Problem, ...]:
    """Return everything that is wrong with a flow, without importing a node's code.

    Args:
        models: folders in which models are looked for by name.
        inputs: values of declared inputs.
        allow: folders to which paths in the flow may lead, besides its own and the current one.
    """
    try:
        read = read_flow(flow)
        session = Session(
            read,
            given_values(inputs or {}),
            models=Models.searching(models),
            reach=Reach.of(read, allowed_folders(allow)),
        )
    except WorkflowError as error:
        return error.problems
    return session.check().problems


def run(
    flow: Flow,
    *,
    out: str | Path | None = None,
    models: Sequence[str | Path] = (),
    device: str = "cpu",
    dtype: str = "auto",
    inputs: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    on_event: Listener | None = None,
    cancelled: Callable[[], bool] | None = None,
    store: bool = True,
    memory: bool = True,
    allow: Sequence[str | Path] = (),
    **values: Any,
) -> Outputs:
    """Run a flow and return its outputs as values: `run("flow.json", prompt="a cube").image`.

    Args:
        out: folder to write the outputs and the journal into; without it nothing is written but
            what nodes write themselves.
        models: folders in which models are looked for by name.
        inputs: values of declared inputs; those with other names may be given as keywords.
        settings: values of node inputs, by `node.port`.
        on_event: hears every event of the run.
        cancelled: asked between nodes and steps; the run ends with `Cancelled` when it says True.
        store: take results from the store on disk, and put them there.
        memory: keep models for the next call in this process, up to NODEGRAPH_MEMORY GiB.
        allow: folders to which paths in the flow may lead, besides its own and the current one.

    Raises:
        WorkflowError: the flow or the values are wrong; nothing was run.
        NodeError: a node failed.
    """
    read = with_settings(read_flow(flow), given_values(settings or {}))
    session = Session(
        read,
        given_values({**(inputs or {}), **values}),
        models=Models.searching(models),
        reach=Reach.of(read, allowed_folders(allow)),
    )
    folder = Path(out) if out is not None else Path("out", read.name)
    listeners = [on_event] if on_event else []
    kept = default_store() if store else None
    held = process_memory() if memory else None
    where = Settings(folder, device, dtype, cancelled, store=kept, memory=held)
    return session.run(where, write=out is not None, listeners=listeners)


@cache
def process_memory() -> Memory:
    """Return what all runs of this process keep models in."""
    return Memory(memory_limit())


def default_store() -> Store | None:
    """Return the user's store, or None where NODEGRAPH_STORE turns it off."""
    folder = store_folder()
    return None if folder is None else Store(folder, store_limit())


def with_settings(flow: Workflow, settings: Mapping[str, Literal]) -> Workflow:
    """Return the flow with node inputs, named `node.port`, set to values.

    Raises:
        WorkflowError: there is no such node.
    """
    for target, value in settings.items():
        node, dot, port = target.partition(".")
        if not dot or not port or node not in flow.nodes:
            message = f"{target}: names no input; write 'node.port'"
            if node not in flow.nodes:
                help_ = near(node, flow.nodes) or f"; nodes are {', '.join(flow.nodes)}"
                message = f"{target}: no node {node!r} to set an input of{help_}"
            raise WorkflowError([Problem("unknown_setting", "/nodes", message)])
        flow = flow.with_value(node, port, value)
    return flow


def read_flow(flow: Any) -> Workflow:
    """Return a workflow from a path, a dict, or what it is already."""
    if isinstance(flow, Workflow):
        return flow
    if not isinstance(flow, str | Path | Mapping):
        raise WorkflowError(f"{flow!r} is no workflow; give a path, a dict or what `load` gave")
    return reading.from_data(flow) if isinstance(flow, Mapping) else reading.load(flow)


def given_values(values: Mapping[str, Any]) -> dict[str, Literal]:
    """Return values from Python; paths in them start at the current folder."""
    here = Path.cwd()
    return {name: Literal(value, here) for name, value in values.items()}


def _open_journal(folder: Path) -> Journal:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        return Journal(folder / "journal.jsonl")
    except OSError as error:
        reason = error.strerror or error
        message = f"{folder}: cannot be written: {reason}; choose another folder with --out"
        raise WorkflowError([Problem("unwritable_out", "", message)]) from error
