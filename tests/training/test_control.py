"""Training a ControlNet: the locked part stays, zeros change nothing, the copy learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.injection import Injection
from nodegraph_training.control import ControlTask, to_hint
from nodegraph_training.errors import TrainingError
from nodegraph_training.log import read
from nodegraph_training.loop import train
from nodegraph_training.order import numpy_generator, torch_generator
from nodegraph_training.stages import train_control
from nodegraph_training.task import Batch
from tests.training.toys import Squares, locked, quick

HINTS = (4, 4, 8, 8)


def task(seed: int = 0) -> ControlTask:
    parts = locked()
    torch.manual_seed(seed)
    latents = torch.randn(12, 4, 4, 4).half()
    model = ControlNetModel.from_unet(parts[0], HINTS)
    return ControlTask(Squares(), "canny", latents, parts, model, seed=seed)


def batch(step: int = 0) -> Batch:
    return Batch(np.arange(4), step, numpy_generator(0, step, 0), torch_generator(0, step, 0))


def gradients(learning: ControlTask) -> dict[str, float]:
    """Return the largest gradient of each part of the copy."""
    loss, _ = learning.loss(learning.model, batch())
    loss.backward()  # type: ignore[no-untyped-call]
    found: dict[str, float] = {}
    for name, weight in learning.model.named_parameters():
        part = name.split(".")[0]
        if name.startswith("input_hint_block.14"):
            part = "hint's end"
        size = 0.0 if weight.grad is None else float(weight.grad.abs().max())
        found[part] = max(found.get(part, 0.0), size)
        weight.grad = None
    return found


def test_the_locked_model_stays_bit_for_bit(tmp_path: Path) -> None:
    learning = task()
    parts = (learning.unet, learning.text, learning.vae)
    before = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
    start = {k: v.clone() for k, v in learning.model.state_dict().items()}
    train(learning, quick(3), tmp_path)
    for part, values in zip(parts, before, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in part.state_dict().items())
    changed = [n for n, v in learning.model.state_dict().items() if not torch.equal(v, start[n])]
    assert "zero_convs.0.0.weight" in changed


def test_at_the_start_the_loss_is_that_of_the_base() -> None:
    learning = task()
    with torch.no_grad():
        controlled, _ = learning.loss(learning.model, batch())
        x = torch.randn(2, 4, 4, 4)
        context, times = torch.randn(2, 77, 16), torch.tensor([3.0, 700.0])
        hint = torch.rand(2, 3, 32, 32)
        model = learning.model
        assert isinstance(model, ControlNetModel)
        residuals = model(x, model.embed_hint(hint), times, context)
        base = learning.unet(x, times, context)
        steered = learning.unet(x, times, context, Injection().with_residuals(residuals))
    assert torch.equal(base, steered)
    assert float(controlled) > 0


def test_gradients_reach_the_copy_in_three_stages() -> None:
    # Zero convolutions learn first; then the copy; then, through its own zero end, the hint's net.
    learning = task()
    first = gradients(learning)
    assert first["zero_convs"] > 0
    assert first["input_blocks"] == first["hint's end"] == first["input_hint_block"] == 0
    with torch.no_grad():
        for name, weight in learning.model.named_parameters():
            if name.startswith(("zero_convs", "middle_block_out")):
                weight.normal_(0, 0.02)
    second = gradients(learning)
    assert second["input_blocks"] > 0
    assert second["hint's end"] > 0
    assert second["input_hint_block"] == 0
    with torch.no_grad():
        for name, weight in learning.model.named_parameters():
            if name.startswith("input_hint_block.14"):
                weight.normal_(0, 0.02)
    assert gradients(learning)["input_hint_block"] > 0


def test_the_loss_falls(tmp_path: Path) -> None:
    learning = task()
    # The latent is the hint itself, so the copy can tell the locked UNet what it cannot know.
    hint = to_hint(Squares().hint("canny", np.arange(12)))
    learning.latents = 2 * F.avg_pool2d(hint, 8)[:, [0, 1, 2, 0]] - 1
    train(learning, quick(50, rate=1e-2, batch=12), tmp_path)
    losses = [line["loss"] for line in read(tmp_path / "log.jsonl")]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_hints_of_another_size_are_refused(tmp_path: Path) -> None:
    class Odd(Squares):
        def hint(self, kind: str, indices: np.ndarray) -> np.ndarray:
            return super().hint(kind, indices)[:, :16, :16]

    with pytest.raises(TrainingError, match=r"kind 'canny' are 16 x 16, the pictures 32 x 32"):
        train_control(Odd(), "canny", locked(), quick(2), tmp_path, hint_widths=HINTS)
