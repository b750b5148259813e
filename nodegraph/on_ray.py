"""Runs the rows of a batch on a Ray cluster: one worker, with its own models, for each actor.

Ray starts the actors, notices when one dies, and carries rows and answers. Outputs, the store and
models are on a file system that all machines share, at the same paths.
"""

import os
import socket
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Any, Final

from .batching import Spread
from .context import Cancelled
from .errors import NodegraphError, PackageError, Problem, WorkflowError
from .ledger import Answer
from .record import owners_of
from .rows import Row
from .worker import Job, Worker, stated

AHEAD: Final = 2
"""Rows that a worker has at once: one that it runs, and the next."""
TRIES: Final = 3
"""Workers that may die of a row."""
_POLL: Final = 0.2
_KNOCK: Final = 10.0
STEERING: Final = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG",
    "NODEGRAPH_CACHE", "NODEGRAPH_MEMORY", "NODEGRAPH_STORE", "NODEGRAPH_STORE_LIMIT",
    "ONEDNN_MAX_CPU_ISA", "MALLOC_ARENA_MAX", "HF_HUB_OFFLINE", "PYTHONPATH",
)  # fmt: skip
"""Variables that change bits or places: workers get those of the process that starts the batch."""

Sent = tuple[Row, str]


class Remote:
    """What runs in an actor; made before torch is imported, so that the variables count."""

    def __init__(self, job: Job, variables: dict[str, str]) -> None:
        for name in STEERING:  # Ray sets OMP_NUM_THREADS to what an actor asked for
            os.environ.pop(name, None)
        os.environ.update(variables)
        self._worker = Worker(job)

    def installed(self) -> dict[str, str]:
        """Return the versions of everything that is installed."""
        return _installed()

    def do(self, row: Row, digest: str) -> Answer:
        """Run a row."""
        return self._worker.do(row, digest)

    def close(self) -> None:
        """Keep what was learnt."""
        self._worker.close()


@dataclass(eq=False, slots=True)
class _Hand:
    """An actor and what it was given, the oldest first."""

    actor: Any
    given: deque[tuple[Any, Sent]] = field(default_factory=deque[tuple[Any, Sent]])


def on_ray(
    job: Job,
    where: str,
    workers: int | None,
    cancelled: Callable[[], bool],
    say: Callable[[str], None],
) -> Spread:
    """Return how rows are run on a cluster.

    Args:
        where: "ray" for the cluster that this machine or RAY_ADDRESS belongs to, or else one that
            is started here and ends with the batch; or "ray://host:10001".
        workers: how many; as many as the cluster has GPUs, or machines, unless it is given.
        say: hears what is worth a line.

    Raises:
        WorkflowError: that is no place.
        NodegraphError: Ray is not installed, or the cluster cannot be reached.
    """
    if where != "ray" and not where.startswith("ray://"):
        message = f"{where!r} is no place to run on; write ray or ray://host:10001"
        raise WorkflowError([Problem("bad_usage", "", message)])
    address = where if where != "ray" else None
    ray = _ray()

    def spread(rows: Iterator[Sent]) -> Iterator[Answer]:
        first = next(rows, None)
        if first is None:
            return  # everything is done, so no cluster is needed
        began = _connect(ray, address)
        crew = _Crew(ray, job, _as_many(ray, job.device, workers), say)
        try:
            crew.check()
            crew.pending.append(first)
            yield from crew.work(rows, cancelled)
        finally:
            crew.dismiss()
            if began:
                ray.shutdown()

    return spread


class _Crew:
    """The actors of one batch."""

    def __init__(self, ray: Any, job: Job, count: int, say: Callable[[str], None]) -> None:
        self.ray, self.job, self.say = ray, job, say
        self.pending: deque[Sent] = deque()
        """Rows whose worker died; they go before all others."""
        self.deaths: dict[int, int] = {}
        self.hands: list[_Hand] = []
        self.hands += [self._hire() for _ in range(count)]

    def _hire(self) -> _Hand:
        gpus = 1 if self.job.device.startswith("cuda") else 0
        asked = self.ray.remote(num_cpus=0.001, num_gpus=gpus, max_restarts=0)
        remote = asked(Remote)
        variables = {name: os.environ[name] for name in STEERING if name in os.environ}
        return _Hand(remote.remote(self.job, variables))

    def check(self) -> None:
        """Compare what is installed where the workers are with what is here.

        Raises:
            NodegraphError: a version differs: results would not be those of a run here.
        """
        mine = _installed()
        for hand in self.hands:
            theirs: dict[str, str] = self._got(hand.actor.installed.remote())
            names = {*_names(self.job), "nodegraph", "torch", "numpy"}
            for name in sorted(names):
                if theirs.get(name) != mine.get(name):
                    here, there = mine.get(name, "none"), theirs.get(name, "none")
                    message = f"a worker has {name} {there}, here is {here}; install the same"
                    raise NodegraphError(message)

    def _got(self, reference: Any) -> Any:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()
            message = f"no worker could be started on the cluster: {said[-1] if said else error}"
            raise NodegraphError(message) from error

    def work(self, rows: Iterator[Sent], cancelled: Callable[[], bool]) -> Iterator[Answer]:
        """Yield answers as they come; a row of a worker that died goes to another one.

        Raises:
            NodegraphError: a package is broken, or no worker can be had.
        """
        while True:
            self._give(rows)
            waiting = {hand.given[0][0]: hand for hand in self.hands if hand.given}
            if not waiting:
                return
            ready, _ = self.ray.wait(list(waiting), num_returns=1, timeout=_POLL)
            if cancelled():
                raise Cancelled
            for reference in ready:
                yield from self._take(waiting[reference])

    def _give(self, rows: Iterator[Sent]) -> None:
        for depth in range(1, AHEAD + 1):  # everyone one row before somebody two
            for hand in self.hands:
                if len(hand.given) < depth:
                    sent = self.pending.popleft() if self.pending else next(rows, None)
                    if sent is None:
                        return
                    hand.given.append((hand.actor.do.remote(*sent), sent))

    def _take(self, hand: _Hand) -> Iterator[Answer]:
        """Yield the answer to the oldest row of a worker: rows end in the order they were given."""
        errors = self.ray.exceptions
        try:
            answer: Answer = self.ray.get(hand.given[0][0])
        except errors.RayTaskError as error:  # a worker answers for all that a row can do
            cause = getattr(error, "cause", None)
            if isinstance(cause, NodegraphError):
                raise cause from error
            raise
        except errors.RayError:
            yield from self._replace(hand)
            return
        hand.given.popleft()
        self.deaths.pop(answer.row, None)
        yield answer

    def _replace(self, hand: _Hand) -> Iterator[Answer]:
        """Have another worker for one that died; the row that it was at counts a death."""
        self.hands.remove(hand)
        sent = [each for _, each in hand.given]
        row, digest = sent[0]
        count = self.deaths[row.number] = self.deaths.get(row.number, 0) + 1
        self.say(f"a worker died at row {row.number} ({row.name}); another one takes its place")
        if count >= TRIES:
            yield _lost(row, digest, count)
            sent = sent[1:]
        self.pending.extendleft(reversed(sent))
        self.hands.append(self._hire())

    def dismiss(self) -> None:
        """End all workers, those at work too."""
        for hand in self.hands:
            with suppress(Exception):
                if not hand.given:
                    self.ray.get(hand.actor.close.remote(), timeout=5)
                self.ray.kill(hand.actor)


def _lost(row: Row, digest: str, count: int) -> Answer:
    message = f"{count} workers died at this row; is there enough memory?"
    problems = ({"code": "worker_died", "pointer": "", "message": message},)
    return Answer(row.number, row.name, False, 0.0, digest, stated(row), {}, problems)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray
    except ImportError:
        message = "--on ray needs Ray; install it: pip install 'nodegraph[ray]'"
        raise PackageError(message) from None
    return ray


def _connect(ray: Any, address: str | None) -> bool:
    """Connect to a cluster, and say whether that was done here."""
    if ray.is_initialized():
        return False
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    named = address or os.environ.get("RAY_ADDRESS", "")
    if not named:
        settings["include_dashboard"] = False
    place = f"the cluster {named or 'on this machine'}"
    _knock(named, place)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address, **settings)
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        message = f"{place} cannot be reached: {said[0]}"
        if named and "RAY_AUTH_MODE" not in os.environ:
            message += "; if it asks for a token, set RAY_AUTH_MODE=token (docs/batch.md)"
        raise NodegraphError(message) from error
    return True


def _knock(address: str, place: str) -> None:
    """See that somebody listens at host:port: Ray itself tries for a minute.

    Raises:
        NodegraphError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rstrip("/").rpartition(":")
    if not colon or not port.isdecimal():
        return  # a word of Ray's, such as auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK).close()
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        message = f"{place} cannot be reached: {said}; is it up, and is this its port?"
        raise NodegraphError(message) from None


def _as_many(ray: Any, device: str, wanted: int | None) -> int:
    """Say how many workers there will be: what is wanted, or one for each GPU or machine.

    Raises:
        NodegraphError: that are more than there are GPUs: some would be waited for without end.
    """
    if device.startswith("cuda"):
        count = int(ray.cluster_resources().get("GPU", 0))
        if not count:
            raise NodegraphError(f"the cluster has no GPU for --device {device}; leave it out")
        if wanted is not None and wanted > count:
            raise NodegraphError(f"--workers {wanted}: the cluster has {count} GPUs; give {count}")
        return wanted or count
    return wanted or max(1, sum(bool(each.get("Alive")) for each in ray.nodes()))


def _names(job: Job) -> set[str]:
    """Return the distributions of the packages that a job's flow uses, flows within too."""
    work = job.session()
    return {owner.distribution for owner in owners_of(job.flow, work.check(), work.packages)}


def _installed() -> dict[str, str]:
    return {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
