"""A ControlNet wrapped around a UNet: its hint, strength, window, branches and mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from .conditioning import POSITIVE, Rows
from .hints import Interpolation, Resize, erase_hint, fit_hint
from .masks import check_mask, scale_mask
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


@dataclass(frozen=True, eq=False)
class Control:
    """A layer around a UNet that adds a ControlNet's residuals; see `apply_controlnet`."""

    model: ControlNetModel
    name: str
    hint: Tensor  # (n, 3, H, W) in [0, 1]
    strength: float
    window: Window
    mode: Mode
    mask: Tensor | None = None  # (m, 1, H, W) in [0, 1]: where the control acts
    erase: Tensor | None = None  # (e, 1, H, W) in [0, 1]: where the hint is -1
    resize: Resize = "crop"
    interpolation: Interpolation = "linear"

    @property
    def conditional_only(self) -> bool:
        """Whether rows of other branches than the positive one are left alone."""
        return self.mode in ("cond_only", "guess")

    @property
    def idle(self) -> bool:
        """Whether this control can do nothing in any run."""
        masked = self.mask is not None and not bool(self.mask.any())
        return self.strength == 0.0 or self.window.start == self.window.end or masked

    def hint_at(self, size: tuple[int, int]) -> Tensor:
        """Return the hint (n, 3, H, W) at a size, -1 where it is erased."""
        fitted = fit_hint(self.hint, size, self.resize, self.interpolation)
        if self.erase is None:
            return fitted
        return erase_hint(fitted, fit_hint(self.erase, size, self.resize, self.interpolation))

    def steps(self, schedule: Schedule) -> tuple[int, ...]:
        """Return the steps of a run in which this control acts; see `Window.steps`."""
        return () if self.idle else self.window.steps(schedule)

    def describe(self, schedule: Schedule) -> str:
        """Name the control and its active steps."""
        steps = self.steps(schedule)
        if not steps:
            return f"{self.name}: no step of {schedule.whole}"
        return f"{self.name}: steps {steps[0] + 1} to {steps[-1] + 1} of {schedule.whole}"

    def note(self, schedule: Schedule) -> dict[str, Any]:
        """Return as plain data what this control does in a run; steps are counted from 0.

        It is stored with the result, whose key does not know what the ControlNet's file is called:
        neither does this.
        """
        window = self.window
        return {
            "strength": self.strength,
            "mode": self.mode,
            "window": {"rule": window.rule, "start": window.start, "end": window.end},
            "masked": self.mask is not None,
            "steps": list(self.steps(schedule)),
            "count": schedule.whole,
        }

    def prepare(
        self, inner: Predictor, schedule: Schedule, conditionings: Sequence[Rows]
    ) -> Predictor:
        """Return the predictor of one run: the inner one where this control can do nothing.

        Raises:
            ValueError: a number of hints or masks that fits no batch.
        """
        batch = 1 + max(sample for rows in conditionings for sample in rows.samples)
        for kind, values in (("hint", self.hint), ("mask", self.mask), ("mask", self.erase)):
            if values is not None and len(values) not in (1, batch):
                raise ValueError(
                    f"{self.name}: {len(values)} {kind}s for {batch} latents; "
                    f"give one {kind}, or one for each latent"
                )
        return inner if self.idle else _ControlledPredictor(self, inner, schedule, conditionings)


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
        self._embeddings: dict[tuple[int, int], Tensor] = {}
        self._masks: dict[tuple[int, int], Tensor] = {}
        # A latent whose mask is black all over is left alone, as outside of the window.
        self._seen = () if control.mask is None else tuple(bool(m.any()) for m in control.mask)

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
            if acts[sample]
            and self._sees(sample)
            and (branch == POSITIVE or not control.conditional_only)
        )

    def _sees(self, sample: int) -> bool:
        return len(self._seen) < 2 or sample >= len(self._seen) or self._seen[sample]

    def _residuals(
        self, x: Tensor, step: Step, rows: Rows, chosen: tuple[int, ...], injection: Injection
    ) -> list[Tensor]:
        if injection.check is not None:
            injection.check()
        whole = len(chosen) == len(rows)
        part = rows if whole else self._part(rows, chosen)
        size = (int(x.shape[2]), int(x.shape[3]))
        residuals = self._control.model(
            self._cache.cast(x if whole else x[list(chosen)]),
            self._of_rows(self._embedding(size, len(step.sigma)), part),
            self._cache.time(step, part),
            self._cache.context(part),
        )
        weights = depth_weights(len(residuals), self._control.mode, self._control.strength)
        weighted = [r if w == 1.0 else r * w for r, w in zip(residuals, weights, strict=True)]
        if self._control.mask is not None:
            weighted = [r * self._of_rows(self._mask(r), part) for r in weighted]
        return weighted if whole else [_scatter(r, chosen, len(rows)) for r in weighted]

    def _part(self, rows: Rows, chosen: tuple[int, ...]) -> Rows:
        key = (rows, chosen)
        if key not in self._parts:
            self._parts[key] = rows.take(chosen)
        return self._parts[key]

    @staticmethod
    def _of_rows(values: Tensor, rows: Rows) -> Tensor:
        """Return what belongs to each row, or the one that belongs to all."""
        return values if len(values) == 1 else values[list(rows.samples)]

    def _embedding(self, size: tuple[int, int], batch: int) -> Tensor:
        """Return the hint's embedding for each latent, or one for all."""
        if size not in self._embeddings:
            control = self._control
            fitted = control.hint_at((8 * size[0], 8 * size[1]))
            if control.mask is not None:
                check_mask(control.name, control.mask, size, batch)
            self._embeddings[size] = control.model.embed_hint(self._cache.cast(fitted))
        return self._embeddings[size]

    def _mask(self, residual: Tensor) -> Tensor:
        """Return the mask (m, 1, h, w) at the size of a residual."""
        size = (int(residual.shape[2]), int(residual.shape[3]))
        if size not in self._masks:
            assert self._control.mask is not None
            self._masks[size] = scale_mask(self._control.mask, size).to(residual)
        return self._masks[size]


def _scatter(residual: Tensor, rows: tuple[int, ...], count: int) -> Tensor:
    """Put residuals of some rows among zeros for the others."""
    full = residual.new_zeros((count, *residual.shape[1:]))
    full[list(rows)] = residual
    return full
