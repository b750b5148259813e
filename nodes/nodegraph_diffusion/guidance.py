"""Classifier-free guidance: from a predictor of rows to the denoiser that a sampler asks."""

from collections.abc import Callable, Sequence
from math import lcm

import torch
from torch import Tensor

from .conditioning import NEGATIVE, POSITIVE, Conditioning, Rows, stack
from .models.injection import Injection
from .predictor import UNet
from .samplers.denoiser import Prediction, clean_sample, network_input
from .schedule import Schedule
from .step import Step

MOST_REPEATS = 4
"""Texts whose lengths only meet after more repeats than this are predicted in separate calls."""


class Guided:
    """Denoise under a prompt, away from another: uncond + cfg (cond - uncond).

    With cfg 1 the negative one has no part and is not computed.
    Source: Ho and Salimans 2022 (arXiv 2207.12598), equation 6, with cfg = 1 + w.
    """

    def __init__(
        self,
        unet: UNet,
        schedule: Schedule,
        positive: Conditioning,
        negative: Conditioning,
        *,
        cfg: float,
        batch: int,
        check: Callable[[], None] | None = None,
    ) -> None:
        both = [(POSITIVE, positive), (NEGATIVE, negative)]
        self._branches = both[:1] if cfg == 1.0 else both
        self._calls = _calls(self._branches, batch)
        self._schedule = schedule
        self._cfg = cfg
        self._batch = batch
        self._prediction: Prediction = unet.prediction
        self._predict = unet.prepare(schedule, self._calls)
        self._injection = Injection(check=check) if check else None

    def __call__(self, x: Tensor, sigma: float, index: int) -> Tensor:
        """Return the clean sample behind x (B, C, H/8, W/8); see `samplers.denoiser.Denoise`."""
        step = Step(
            (sigma,) * self._batch,
            (self._schedule.timestep(sigma),) * self._batch,
            self._schedule.first + index,
            self._schedule.whole,
        )
        scaled = network_input(x, sigma)
        outputs = [self._call(scaled, step, rows) for rows in self._calls]
        output, *negative = torch.cat(outputs).tensor_split(len(self._branches))
        if negative:
            output = negative[0] + self._cfg * (output - negative[0])
        return clean_sample(x, output, sigma, self._prediction)

    def _call(self, scaled: Tensor, step: Step, rows: Rows) -> Tensor:
        copies = len(rows) // self._batch
        return self._predict(scaled.repeat(copies, 1, 1, 1), step, rows, self._injection)


def _calls(branches: Sequence[tuple[str, Conditioning]], batch: int) -> list[Rows]:
    lengths = [conditioning.context.shape[1] for _, conditioning in branches]
    if lcm(*lengths) <= MOST_REPEATS * max(lengths):
        return [stack(branches, batch)]
    return [stack([branch], batch) for branch in branches]
