"""Noise levels as a value: made by a schedule or by hand, split, and sampled along."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from nodegraph import Codec, node, port

from .predictor import UNet
from .schedule import SchedulerName, make_schedule

NAME = "sigmas.json"
LEAST, MOST = 1e-6, 1e6
"""Beyond these float32 has no room for a step; models were trained between 0.03 and 15."""


class SigmasCodec(Codec["Sigmas"]):
    """Noise levels as JSON."""

    @staticmethod
    def write(value: "Sigmas", stem: Path, record: Mapping[str, Any] | None) -> list[Path]:
        """Write one JSON file."""
        path = stem.with_name(stem.name + ".json")
        path.write_text(_text(value), encoding="utf-8")
        return [path]

    @staticmethod
    def dump(value: "Sigmas", folder: Path) -> None:
        """Store the levels."""
        (folder / NAME).write_text(_text(value), encoding="utf-8")

    @staticmethod
    def restore(folder: Path) -> "Sigmas":
        """Give back what `dump` stored."""
        return _restored(json.loads((folder / NAME).read_text(encoding="utf-8")))

    @staticmethod
    def size(value: "Sigmas") -> int:
        """Count eight bytes a level."""
        return 8 * len(value.levels)

    @staticmethod
    def digest(value: "Sigmas") -> str:
        """Digest levels and place."""
        return hashlib.sha256(_text(value).encode()).hexdigest()

    @staticmethod
    def examples() -> "list[Sigmas]":
        """Give a run of three steps, and one of none."""
        return [Sigmas((14.6, 4.0, 1.0, 0.0)), Sigmas((1.0,))]

    @staticmethod
    def describe(value: "Sigmas") -> str:
        """Say steps and ends."""
        place = f", {value.first + 1} to {value.first + value.count} of {value.whole}"
        part = place if value.count and value.count < value.whole else ""
        return f"{value.count} steps, {value.levels[0]:.4g} to {value.levels[-1]:.4g}{part}"


@port(codec=SigmasCodec)
@dataclass(frozen=True)
class Sigmas:
    """The noise levels that a run visits, from the most noise to the least; 0 is no noise.

    One level more than there are steps. A part of a run that was split has its place in the whole:
    `first` steps come before it, and `total` are there in all (None: this is the whole).

    Raises:
        ValueError: no level, levels that do not fall, or that are no noise levels at all.
    """

    levels: tuple[float, ...]
    first: int = 0
    total: int | None = None

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("sigmas: there is none; give at least one noise level")
        for i, level in enumerate(self.levels):
            if level != 0.0 and not LEAST <= level <= MOST:
                raise ValueError(
                    f"sigmas: {level:g} in place {i} is no noise level; use 0, or {LEAST:g} to "
                    f"{MOST:g}"
                )
        for i, (level, following) in enumerate(pairwise(self.levels)):
            if not following < level:
                raise ValueError(
                    f"sigmas: {following} in place {i + 1} follows {level}; let each be less than "
                    "the one before"
                )
        if not 0 <= self.first <= self.first + self.count <= self.whole:
            raise ValueError(
                f"sigmas: {self.count} steps from {self.first} on are no part of {self.whole}; "
                "split a whole run"
            )

    @property
    def count(self) -> int:
        """The number of steps."""
        return len(self.levels) - 1

    @property
    def whole(self) -> int:
        """The number of steps of the whole run that this is a part of."""
        return self.count if self.total is None else self.total


class Split(NamedTuple):
    """The two parts of a run."""

    high: Sigmas
    low: Sigmas


@node(device="cpu")
def make_sigmas(
    unet: UNet,
    *,
    scheduler: SchedulerName = "karras",
    steps: Annotated[int, Field(ge=1, le=10000)] = 20,
    denoise: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> Sigmas:
    """Lay out the noise levels of a run, as `sample` does by itself with the same settings.

    Use it to split a run or to give two samplers the same levels.
    """
    return Sigmas(make_schedule(scheduler, unet.noise, steps, denoise=denoise).sigmas)


@node(device="cpu")
def custom_sigmas(
    *, levels: Annotated[list[float], Field(min_length=1, max_length=10001)]
) -> Sigmas:
    """Sample along noise levels of your own, one more than there are steps.

    Each is less than the one before, and the last is 0 for a finished picture. Stable Diffusion was
    trained from 14.6146 down to 0.0292; beyond these ends the network is told the timestep of the
    end.
    """
    return Sigmas(tuple(levels))


@node(device="cpu")
def split_sigmas(sigmas: Sigmas, *, step: Annotated[int, Field(ge=0, le=10000)]) -> Split:
    """Split a run in two: `high` takes the first `step` steps, `low` the others.

    Sample along `high`, then along `low` from the result, with the same seed and `add_noise` off.
    With the samplers that remember nothing between steps (all but `dpmpp_2m`, `dpmpp_2m_sde` and
    `uni_pc`) the two are the whole run, bit for bit; those three start anew, with a step of first
    order. Both parts know their place, so that windows of controls mean the same as in the whole.
    """
    if step > sigmas.count:
        raise ValueError(
            f"split_sigmas: step {step} is after the last of {sigmas.count}; split before it"
        )
    high = Sigmas(sigmas.levels[: step + 1], sigmas.first, sigmas.whole)
    low = Sigmas(sigmas.levels[step:], sigmas.first + step, sigmas.whole)
    return Split(high, low)


def _text(value: Sigmas) -> str:
    data = {"levels": value.levels, "first": value.first, "total": value.total}
    return json.dumps(data, sort_keys=True)


def _restored(data: Any) -> Sigmas:
    return Sigmas(tuple(float(v) for v in data["levels"]), data["first"], data["total"])
