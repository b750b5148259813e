"""A run that was broken off and taken up equals an unbroken one, to the bit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nodegraph_diffusion.replay import NAME, Replayed
from nodegraph_diffusion.samplers import SAMPLERS, make_sampler

SIGMAS = [14.6, 9.0, 4.0, 2.0, 0.7, 0.2, 0.0]


class Model:
    """Any smooth denoiser, which counts its calls and breaks off after some."""

    def __init__(self, most: int = 1000) -> None:
        self.calls = 0
        self.most = most

    def __call__(self, x: Tensor, sigma: float, index: int) -> Tensor:
        if self.calls == self.most:
            raise KeyboardInterrupt
        self.calls += 1
        return torch.tanh(x / (1 + sigma)) * 0.9


def walk(name: str, model: Replayed | Model) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 4, 6, 6, generator=generator) * SIGMAS[0]
    sampler = make_sampler(name)
    return sampler(model, x, SIGMAS, lambda like: torch.randn(like.shape, generator=generator))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_broken_run_that_is_taken_up_equals_an_unbroken_one(
    name: str, most: int, tmp_path: Path
) -> None:
    whole = list(walk(name, Model()))
    with pytest.raises(KeyboardInterrupt):
        list(walk(name, Replayed(Model(most), tmp_path, 1)))
    again = Model()
    taken_up = list(walk(name, Replayed(again, tmp_path, 1)))
    assert all(torch.equal(a, b) for a, b in zip(whole, taken_up, strict=True))
    assert again.calls == (11 if name == "heun" else 6) - most


def test_answers_are_written_every_few_calls(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(walk("euler", Replayed(Model(5), tmp_path, 2)))
    assert Replayed(Model(), tmp_path, 2).known == 4


def test_nothing_is_kept_where_nobody_asked(tmp_path: Path) -> None:
    list(walk("euler", Replayed(Model(), tmp_path, 0)))
    assert list(tmp_path.iterdir()) == []
    list(walk("euler", Replayed(Model(), None, 1)))


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "text"])
def test_damaged_answers_are_passed_over(harm: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(walk("euler", Replayed(Model(3), tmp_path, 1)))
    data = (tmp_path / NAME).read_bytes()
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    harmed = {"flip": flipped, "cut": data[:-9], "empty": b"", "text": b"{}" * 40}
    (tmp_path / NAME).write_bytes(harmed[harm])
    model = Model()
    list(walk("euler", Replayed(model, tmp_path, 1)))
    assert model.calls == 6


def test_a_full_disk_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    whole = list(walk("euler", Replayed(Model(), tmp_path / "file", 1)))
    assert torch.equal(whole[-1], list(walk("euler", Model()))[-1])
