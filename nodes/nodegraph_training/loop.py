"""The one training loop: steps, log, previews, checkpoints, and going on where a run stopped."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor, nn

from nodegraph import Cancelled
from nodegraph_training import checkpoint
from nodegraph_training.curve import write_curve
from nodegraph_training.errors import TrainingError
from nodegraph_training.kept import below, replacing
from nodegraph_training.log import Log, read
from nodegraph_training.memory import keep_freed_memory
from nodegraph_training.order import batch_indices, numpy_generator, torch_generator
from nodegraph_training.parallel import gradients, pool, single_threaded
from nodegraph_training.settings import Settings, agree
from nodegraph_training.state import State
from nodegraph_training.task import Batch, Task

Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, message: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Trained:
    """A finished or stopped run: the averaged weights, the steps done, its pictures."""

    model: nn.Module
    step: int
    curve: Path
    preview: Path | None
    record: str
    """The plan and the step as JSON, for the file that the weights go to."""


def train(
    task: Task,
    settings: Settings,
    folder: Path,
    *,
    device: str = "cpu",
    progress: Progress = silent,
    plan: Mapping[str, object] | None = None,
) -> Trained:
    """Train until `settings.steps` (or `stop`), continuing the run that `folder` holds.

    Writes `plan.json`, `log.jsonl`, `loss.png`, `samples/*.png` and `state.safetensors` into the
    folder. A run that is continued takes the very steps that it would have taken without the break.
    `plan` is what else must agree.

    Raises: TrainingError for an empty data set, a folder of another run, a loss that is not finite,
    a full disk.
    """
    if task.count < 1:
        raise TrainingError("training: the data set is empty; give at least one picture")
    if device == "cpu":
        keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    told = {**settings.plan(), **(plan or {})}
    agree(folder, told)
    state, place = State(task.model, settings, device), below(folder, "state.safetensors")
    begin = _resume(state, place)
    end = settings.steps if settings.stop is None else min(settings.steps, settings.stop)
    log, curve = Log(below(folder, "log.jsonl"), begin), below(folder, "loss.png")
    with single_threaded(settings.workers), pool(settings.workers) as executor:
        clock = _Clock(begin)
        for step in range(begin, end):
            numbers = _step(task, state, executor, step)
            log.write(step + 1, {**numbers, "seconds": clock.lap()})
            done = step + 1
            try:
                progress(done, settings.steps, clock.message(done, numbers["loss"]))
            except Cancelled:
                checkpoint.save(place, state.saved(done))
                raise
            if done % settings.save_every == 0 or done == end:
                checkpoint.save(place, state.saved(done))
            if done % settings.preview_every == 0 or done == end:
                _show(task, state, folder, done)
                write_curve(curve, read(log.path), folder.name)
    pictures = sorted((folder / "samples").glob("*.png"))
    write_curve(curve, read(log.path), folder.name)
    return Trained(
        model=state.averaged(),
        step=max(begin, end),
        curve=curve,
        preview=below(folder, f"samples/{pictures[-1].name}") if pictures else None,
        record=json.dumps({"step": max(begin, end), **told}, sort_keys=True),
    )


def _resume(state: State, place: Path) -> int:
    if not place.exists():
        return 0
    saved = checkpoint.load(place)
    state.restore(saved)
    return saved.step


def _step(task: Task, state: State, executor: ThreadPoolExecutor, step: int) -> dict[str, float]:
    settings = state.settings
    shares = np.array_split(
        batch_indices(task.count, settings.batch, step, settings.seed), settings.workers
    )

    def loss(worker: int) -> tuple[Tensor, dict[str, float]]:
        random = (
            numpy_generator(settings.seed, step, worker),
            torch_generator(settings.seed, step, worker),
        )
        return task.loss(state.replica, Batch(shares[worker], step, *random))

    found, numbers = gradients(executor, settings.workers, loss, state.computing)
    if not np.isfinite(numbers["loss"]):
        raise TrainingError(
            f"training: the loss of step {step + 1} is {numbers['loss']}; "
            "lower `rate` or mend the data"
        )
    return {
        **numbers,
        "norm": state.apply(found, step, executor.map),
        "rate": settings.learning_rate(step),
    }


def _show(task: Task, state: State, folder: Path, step: int) -> None:
    picture = task.preview(state.averaged())
    place = below(folder, f"samples/{step:06d}.png")
    place.parent.mkdir(exist_ok=True)
    encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    with replacing(place) as fresh:
        fresh.write_bytes(encoded.tobytes())


class _Clock:
    """Seconds of the last step, and steps a second since the run went on."""

    def __init__(self, begin: int) -> None:
        self.begin, self.start = begin, time.monotonic()
        self.last = self.start

    def lap(self) -> float:
        now = time.monotonic()
        self.last, passed = now, now - self.last
        return passed

    def message(self, step: int, loss: float) -> str:
        rate = (step - self.begin) / max(1e-9, time.monotonic() - self.start)
        return f"loss {loss:.4f}, {rate:.2f} steps/s"
