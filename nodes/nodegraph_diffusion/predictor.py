"""The UNet as a value: something that predicts, and that controls can be wrapped around."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from nodegraph import Codec, port

from .conditioning import Rows
from .examples import small_unet
from .models.injection import Injection
from .models.unet import UNetModel
from .run_cache import RunCache
from .samplers.denoiser import Prediction
from .schedule import Schedule, TrainedNoise
from .step import Step


class Predictor(Protocol):
    """What a network says about a batch of noisy latents; the predictor of one run."""

    def __call__(
        self, x: Tensor, step: Step, rows: Rows, injection: Injection | None = None, /
    ) -> Tensor:
        """Return eps or v (R, C, H/8, W/8) float32 for x of that shape, scaled to unit variance.

        `rows` has a row for each of x; `injection` is what the layers around this predictor ask for
        so far.
        """
        ...


class Layer(Protocol):
    """One thing wrapped around a UNet, such as a ControlNet with its hint and its window."""

    def prepare(
        self, inner: Predictor, schedule: Schedule, conditionings: Sequence[Rows]
    ) -> Predictor:
        """Return the predictor of one run: adds to the injection and hands on to `inner`."""
        ...

    def describe(self, schedule: Schedule) -> str:
        """Say in one line what this layer does in a run, its active steps included."""
        ...


class UNetCodec(Codec["UNet"]):
    """UNets stay in memory; all that can be said of one is what it is."""

    @staticmethod
    def size(value: "UNet") -> int:
        """Count the bytes of the weights, which every value made from this one shares."""
        return sum(p.numel() * p.element_size() for p in value.model.parameters())

    @staticmethod
    def describe(value: "UNet") -> str:
        """Say family and number of layers."""
        count = len(value.layers)
        layers = f" in {count} layer{'s' if count > 1 else ''}" if count else ""
        return f"{value.family} UNet{layers}"

    @staticmethod
    def examples() -> "list[UNet]":
        """Give a tiny random one, of eps prediction."""
        return [UNet(small_unet(), "sd1")]


@port(codec=UNetCodec)
@dataclass(frozen=True, eq=False)
class UNet:
    """A frozen denoising network and the layers wrapped around it, innermost first.

    The network never knows of its layers, and nothing of a run is kept on it: `prepare` returns a
    predictor that holds what is computed once per run.
    """

    model: UNetModel
    family: str
    noise: TrainedNoise = field(default_factory=TrainedNoise.scaled_linear)
    layers: tuple[Layer, ...] = ()

    @property
    def prediction(self) -> Prediction:
        """What the network predicts: "eps" or "v"."""
        return self.model.config.prediction

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def wrapped(self, layer: Layer) -> "UNet":
        """Return a UNet with one more layer around it; the weights are shared."""
        return replace(self, layers=(*self.layers, layer))

    def describe_layers(self, schedule: Schedule) -> list[str]:
        """Say in a line each what the layers do in a run."""
        return [layer.describe(schedule) for layer in self.layers]

    def prepare(self, schedule: Schedule, conditionings: Sequence[Rows]) -> Predictor:
        """Return the predictor of one run, which computes once what the run does not change."""
        predictor: Predictor = ModelPredictor(self.model, schedule, conditionings)
        for layer in self.layers:
            predictor = layer.prepare(predictor, schedule, conditionings)
        return predictor

    def __call__(
        self, x: Tensor, step: Step, rows: Rows, injection: Injection | None = None
    ) -> Tensor:
        """Predict once, outside of a run; see `Predictor`."""
        schedule = Schedule((*_distinct(step.sigma), 0.0), self.noise)
        return self.prepare(schedule, [rows])(x, step, rows, injection)


def _distinct(sigmas: Iterable[float]) -> list[float]:
    return sorted(set(sigmas), reverse=True)


class ModelPredictor:
    """The innermost predictor of a run: the network with its cached projections."""

    def __init__(self, model: UNetModel, schedule: Schedule, conditionings: Sequence[Rows]) -> None:
        self._model = model
        self._cache = RunCache(model, schedule, conditionings)

    def __call__(
        self, x: Tensor, step: Step, rows: Rows, injection: Injection | None = None
    ) -> Tensor:
        """Run the network in its own dtype; see `Predictor`."""
        if rows.concat is not None:
            x = torch.cat([x, rows.concat.to(x)], dim=1)
        out: Tensor = self._model(
            self._cache.cast(x),
            self._cache.time(step, rows),
            self._cache.context(rows),
            injection,
            None if rows.vector is None else rows.vector.to(self._cache.device, self._cache.dtype),
        )
        return out.float()
