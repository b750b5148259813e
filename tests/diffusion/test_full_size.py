"""Stable Diffusion 1.5's networks at their full size against the reference, in float32."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodegraph_diffusion.models.clip import CLIPTextConfig
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.injection import Injection
from nodegraph_diffusion.models.unet import UNetConfig
from nodegraph_diffusion.models.vae import VAEConfig
from nodegraph_diffusion.weights import load_controlnet_file
from tests.diffusion.references import (
    controlnet_pair,
    distance,
    fill,
    text_pair,
    unet_pair,
    vae_pair,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def memory_is_given_back() -> Iterator[None]:
    with torch.no_grad():
        yield
    gc.collect()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_unet_with_residuals() -> None:
    ours, theirs = unet_pair(UNetConfig(), torch.float32)
    x, context, timesteps = noise(1, 4, 16, 16), noise(1, 77, 768), torch.tensor([801.0])
    widths = [320] * 4 + [640] * 3 + [1280] * 5
    sizes = [16] * 3 + [8] * 3 + [4] * 3 + [2] * 3
    widths[3], widths[6] = 320, 640  # a level's first tensor is the one made smaller
    residuals = [0.1 * noise(1, w, s, s) for w, s in zip(widths, sizes, strict=True)]
    middle = 0.1 * noise(1, 1280, 2, 2)
    expected = theirs(
        x,
        timesteps,
        context,
        down_block_additional_residuals=residuals,
        mid_block_additional_residual=middle,
    ).sample
    result = ours(x, timesteps, context, Injection().with_residuals([*residuals, middle]))
    assert distance(result, expected) < 1e-5


def test_the_controlnet() -> None:
    ours, theirs = controlnet_pair(ControlNetConfig(), torch.float32)
    x, context, hint = noise(1, 4, 16, 16), noise(1, 77, 768), noise(1, 3, 128, 128)
    timesteps = torch.tensor([801.0])
    down, middle = theirs(x, timesteps, context, hint, return_dict=False)
    residuals = ours(x, ours.embed_hint(hint), timesteps, context)
    for mine, reference in zip(residuals, [*down, middle], strict=True):
        assert distance(mine, reference) < 1e-5


def test_the_vae() -> None:
    ours, theirs = vae_pair(VAEConfig(), torch.float32)
    x, z = noise(1, 3, 128, 128), noise(1, 4, 16, 16)
    assert distance(ours.encode(x)[0], theirs.encode(x).latent_dist.mean) < 1e-5
    assert distance(ours.decode(z), theirs.decode(z).sample) < 1e-5


def test_the_text_encoder() -> None:
    ours, theirs = text_pair(CLIPTextConfig(), torch.float32)
    ids = torch.randint(0, 49408, (2, 77), generator=torch.Generator().manual_seed(0))
    assert distance(ours(ids), theirs(ids).last_hidden_state) < 1e-5


def test_a_controlnet_file_takes_no_second_copy(tmp_path: Path) -> None:
    model = ControlNetModel(ControlNetConfig())
    fill(model)
    save_file(
        {f"control_model.{k}": v for k, v in model.state_dict().items()}, tmp_path / "c.safetensors"
    )
    expected = model.state_dict()["input_blocks.10.0.in_layers.2.weight"].clone()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    del model
    gc.collect()
    before = anonymous_memory()
    loaded = load_controlnet_file(tmp_path / "c.safetensors")
    taken = anonymous_memory() - before
    assert torch.equal(loaded.state_dict()["input_blocks.10.0.in_layers.2.weight"], expected)
    assert loaded.controlnet_config == ControlNetConfig()
    assert taken < size


def anonymous_memory() -> int:
    """Return the bytes of this process that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
