"""A ControlNet wrapped around a UNet: its hint, its strength, its window and its branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .conditioning import POSITIVE, Rows
from .models.controlnet import ControlNetModel
from .models.injection import Injection
from .predictor import Predictor
from .run_cache import RunCache
from .schedule import Schedule, TrainedNoise
from .step import Step
from .window import Window

Mode = Literal["balanced", "soft", "cond_only", "guess"]

SOFTNESS = 0.825
"""How much less each residual counts than the next deeper one, where a control is soft.

Source: lllyasviel/ControlNet, `gradio_canny2image.py`, "guess mode".
"""


def depth_weights(count: int, mode: Mode, strength: float) -> tuple[float, ...]:
    """Return the weight of each of `count` residuals, shallowest first, the middle's last.

    "soft" and "guess" weigh the middle fully and each shallower residual 0.825 times the one below
    it: for the 13 of SD1 from 0.0994 to 1, for the 10 of SDXL from 0.1771 to 1.
    """
    if mode in ("balanced", "cond_only"):
        return (strength,) * count
    return tuple(strength * SOFTNESS ** (count - 1 - i) for i in range(count))


def fit_hint(hint: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a hint (n, 3, H, W) to a size.

    The middle is cut out at the size's aspect and resampled bilinearly, antialiased. A hint of the
    size already is returned as it is.
    """
    height, width = hint.shape[2:]
    if (height, width) == size:
        return hint
    scale = min(height / size[0], width / size[1])
    keep_h, keep_w = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - keep_h) // 2, (width - keep_w) // 2
    cut = hint[:, :, top : top + keep_h, left : left + keep_w]
    return F.interpolate(cut, size=size, mode="bilinear", antialias=True).clamp(0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Control:
    """A layer around a UNet that adds a ControlNet's residuals; see `apply_controlnet`."""

    model: ControlNetModel
    name: str
    hint: Tensor  # (n, 3, H, W) in [0, 1]
    strength: float
    window: Window
    mode: Mode

    @property
    def conditional_only(self) -> bool:
        """Whether rows of other branches than the positive one are left alone."""
        return self.mode in ("cond_only", "guess")

    def steps(self, schedule: Schedule) -> tuple[int, ...]:
        """Return the steps of a run in which this control acts."""
        return self.window.steps(schedule) if self.strength != 0.0 else ()

    def describe(self, schedule: Schedule) -> str:
        """Name the control and its active steps."""
        steps = self.steps(schedule)
        if not steps:
            return f"{self.name}: no step of {schedule.count}"
        return f"{self.name}: steps {steps[0] + 1} to {steps[-1] + 1} of {schedule.count}"

    def prepare(
        self, inner: Predictor, schedule: Schedule, conditionings: Sequence[Rows]
    ) -> Predictor:
        """Return the predictor of one run; without strength or window that is the inner one."""
        if self.strength == 0.0 or self.window.start == self.window.end:
            return inner
        return _ControlledPredictor(self, inner, schedule, conditionings)


class _ControlledPredictor:
    """One control in one run: chooses rows, computes residuals, hands on."""

    def __init__(
        self,
        control: Control,
        inner: Predictor,
        schedule: Schedule,
        conditionings: Sequence[Rows],
    ) -> None:
        self._control = control
        self._inner = inner
        self._noise: TrainedNoise = schedule.noise
        self._cache = RunCache(control.model, schedule, conditionings)
        self._parts: dict[tuple[Rows, tuple[int, ...]], Rows] = {}
        self._embeddings: dict[torch.Size, Tensor] = {}

    def __call__(
        self, x: Tensor, step: Step, rows: Rows, injection: Injection | None = None
    ) -> Tensor:
        """Add this control's residuals to the injection; see `Predictor`."""
        chosen = self._chosen(step, rows)
        if chosen:
            injection = injection or Injection()
            residuals = self._residuals(x, step, rows, chosen, injection)
            injection = injection.with_residuals(residuals)
        return self._inner(x, step, rows, injection)

    def _chosen(self, step: Step, rows: Rows) -> tuple[int, ...]:
        control = self._control
        acts = [
            control.window.acts(sigma, step.index, step.count, self._noise) for sigma in step.sigma
        ]
        return tuple(
            i
            for i, (branch, sample) in enumerate(zip(rows.branches, rows.samples, strict=True))
            if acts[sample] and (branch == POSITIVE or not control.conditional_only)
        )

    def _residuals(
        self, x: Tensor, step: Step, rows: Rows, chosen: tuple[int, ...], injection: Injection
    ) -> list[Tensor]:
        if injection.check is not None:
            injection.check()
        whole = len(chosen) == len(rows)
        part = rows if whole else self._part(rows, chosen)
        residuals = self._control.model(
            self._cache.cast(x if whole else x[list(chosen)]),
            self._hint(part, len(step.sigma), x.shape[2:]),
            self._cache.time(step, part),
            self._cache.context(part),
        )
        weights = depth_weights(len(residuals), self._control.mode, self._control.strength)
        weighted = [r if w == 1.0 else r * w for r, w in zip(residuals, weights, strict=True)]
        return weighted if whole else [_scatter(r, chosen, len(rows)) for r in weighted]

    def _part(self, rows: Rows, chosen: tuple[int, ...]) -> Rows:
        key = (rows, chosen)
        if key not in self._parts:
            self._parts[key] = rows.take(chosen)
        return self._parts[key]

    def _hint(self, rows: Rows, batch: int, size: torch.Size) -> Tensor:
        """Return the hint's embedding for each row, or one row for all."""
        control = self._control
        if len(control.hint) not in (1, batch):
            raise ValueError(
                f"{control.name}: {len(control.hint)} hints for {batch} latents; "
                "give one hint, or one for each latent"
            )
        height, width = size
        if size not in self._embeddings:
            fitted = fit_hint(control.hint, (8 * height, 8 * width))
            self._embeddings[size] = control.model.embed_hint(self._cache.cast(fitted))
        embedded = self._embeddings[size]
        return embedded if len(embedded) == 1 else embedded[list(rows.samples)]


def _scatter(residual: Tensor, rows: tuple[int, ...], count: int) -> Tensor:
    """Put residuals of some rows among zeros for the others."""
    full = residual.new_zeros((count, *residual.shape[1:]))
    full[list(rows)] = residual
    return full
