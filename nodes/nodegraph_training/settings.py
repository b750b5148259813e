"""What a training run is told: one frozen value, written beside its results."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from nodegraph_training.errors import TrainingError
from nodegraph_training.kept import below, replacing

Optimizer = Literal["muon", "adamw"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Settings:
    """Settings of a training run.

    `rate` is the peak learning rate: it rises over `warmup` steps, stays, and falls linearly to
    zero over the last `decay` share of `steps`. `stop` ends a run early without changing that plan,
    so that a later call goes on as if nothing had happened. `workers` splits each batch over so
    many threads.
    """

    steps: int
    batch: int = 32
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 0.01
    beta2: float = 0.99
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    workers: int = 1
    optimizer: Optimizer = "muon"
    precision: Precision = "auto"
    save_every: int = 500
    preview_every: int = 500
    stop: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings that no run can have."""
        wrong = [name for name in ("steps", "batch", "workers") if getattr(self, name) < 1]
        if wrong:
            raise TrainingError(
                f"training settings: {wrong[0]} is below 1; give a whole number of at least 1"
            )
        if self.batch % self.workers:
            raise TrainingError(
                f"training settings: a batch of {self.batch} does not split over {self.workers} "
                f"workers; use a multiple of {self.workers}"
            )

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step: warm-up, plateau, linear decay to zero."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.rate * min(rise, left, 1.0)

    def ema_decay(self, step: int) -> float:
        """Return the share of the average kept at a step: small at first, to forget the start."""
        return min(self.ema, (1 + step) / (10 + step))

    def plan(self) -> dict[str, object]:
        """Return what must be equal for a run folder to be continued."""
        free = ("save_every", "preview_every", "stop")
        return {name: value for name, value in asdict(self).items() if name not in free}


def agree(folder: Path, plan: dict[str, object]) -> None:
    """Write a run's plan into its folder, or compare it with the one that is there.

    Raises: TrainingError when the folder holds a run with other settings.
    """
    path = below(folder, "plan.json")
    if not path.exists():
        with replacing(path) as fresh:
            fresh.write_text(json.dumps(plan, indent=1, sort_keys=True) + "\n")
        return
    old = _read(path)
    wanted = json.loads(json.dumps(plan))
    changed = sorted(
        name for name in old.keys() | wanted.keys() if old.get(name) != wanted.get(name)
    )
    if changed:
        name = changed[0]
        raise TrainingError(
            f"{folder}: holds a run with {name} = {old.get(name)!r}, not {wanted.get(name)!r}; "
            "give the same settings to continue it, or another folder"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        plan: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        plan = None
    if not isinstance(plan, dict):
        raise TrainingError(
            f"{path}: is not the plan of a run; choose another folder, or delete it to go on here"
        )
    return cast("dict[str, Any]", plan)
