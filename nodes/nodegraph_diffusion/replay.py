"""What a sampler was told so far, kept so that a run that was broken off can be taken up.

A sampler is decided by the answers of its model: given the same ones again it comes to the same
state, the noise that it draws included. So the answers are kept, whatever the sampler is.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .samplers.denoiser import Denoise
from .storage import digest_of, read_tensors, write_tensors

NAME = "answers.safetensors"


class Replayed:
    """A denoiser that repeats kept answers first, and keeps those that it computes.

    Args:
        denoise: the model.
        folder: where answers are kept between runs, or None for nowhere.
        every: after so many new answers they are written.
    """

    def __init__(self, denoise: Denoise, folder: Path | None, every: int) -> None:
        self._denoise = denoise
        self._folder = folder if every else None
        self._every = every
        self._answers = _kept(self._folder) if self._folder else []
        self.known = len(self._answers)
        """How many answers were kept by a run before."""
        self._calls = 0

    def __call__(self, x: Tensor, sigma: float, index: int) -> Tensor:
        """Return the clean sample behind x; see `samplers.denoiser.Denoise`."""
        number, self._calls = self._calls, self._calls + 1
        if number < len(self._answers) and self._answers[number].shape == x.shape:
            return self._answers[number].to(x.device)
        del self._answers[number:]
        answer = self._denoise(x, sigma, index)
        if self._folder is not None:
            self._answers.append(answer.cpu())
            if len(self._answers) % self._every == 0:
                self._keep(self._folder)
        return answer

    def _keep(self, folder: Path) -> None:
        """Write all answers in one step; a disk that is full keeps none, and that is all."""
        tensors = {str(number): answer for number, answer in enumerate(self._answers)}
        part = folder / f"{NAME}.part"
        with suppress(OSError, SafetensorError):
            write_tensors(tensors, part, {"digest": digest_of(tensors)})
            part.replace(folder / NAME)


def _kept(folder: Path) -> list[Tensor]:
    """Return what a run before has kept; nothing where it is damaged."""
    try:
        tensors = read_tensors(folder / NAME)
        if _digest(folder / NAME) != digest_of(tensors):
            return []
        return [tensors[str(number)] for number in range(len(tensors))]
    except (OSError, ValueError, KeyError, RuntimeError):
        return []


def _digest(path: Path) -> str:
    opened: Any = safe_open(path, "pt")  # its types leave the metadata open
    with opened as file:
        return str(json.loads(file.metadata()["nodegraph"])["digest"])
