"""Each network against its reference implementation, with the same random weights.

The tolerances are those of arithmetic in another order: 1e-10 in float64, 1e-5 in float32. Zero
convolutions are filled with noise, or nothing would be compared.
"""

import pytest
import torch
from torch import Tensor

from nodegraph_diffusion.models.controlnet import ControlNetConfig
from nodegraph_diffusion.models.injection import Injection
from tests.diffusion.references import (
    HINT_WIDTHS,
    SDXL,
    TEXT,
    UNET,
    VAE,
    arranged,
    controlnet_pair,
    distance,
    text_pair,
    unet_pair,
    vae_pair,
)

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
LAYOUTS = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels_last"]
)
CONTROLNET = ControlNetConfig(UNET, hint_widths=HINT_WIDTHS)


def noise(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@DTYPES
@LAYOUTS
@torch.no_grad()
def test_the_unet_equals_the_reference(dtype: torch.dtype, layout: torch.memory_format) -> None:
    ours, theirs = unet_pair(UNET, dtype)
    x, context = noise(2, 4, 16, 24, dtype=dtype), noise(2, 7, 24, dtype=dtype)
    timesteps = torch.tensor([17.0, 801.0])
    expected = theirs(x, timesteps, context).sample
    result = arranged(ours, layout)(x.to(memory_format=layout), timesteps, context)
    assert distance(result, expected) < TOLERANCE[dtype]


@DTYPES
@torch.no_grad()
def test_the_unet_takes_residuals_as_the_reference_does(dtype: torch.dtype) -> None:
    ours, theirs = unet_pair(UNET, dtype)
    control, their_control = controlnet_pair(CONTROLNET, dtype)
    x, context = noise(2, 4, 8, 8, dtype=dtype), noise(2, 7, 24, dtype=dtype)
    hint, timesteps = noise(2, 3, 64, 64, dtype=dtype), torch.tensor([40.0, 500.0])
    down, middle = their_control(x, timesteps, context, hint, return_dict=False)
    expected = theirs(
        x,
        timesteps,
        context,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample
    residuals = control(x, control.embed_hint(hint), timesteps, context)
    result = ours(x, timesteps, context, Injection().with_residuals(residuals))
    assert distance(result, expected) < TOLERANCE[dtype]
    assert distance(result, ours(x, timesteps, context)) > 1e-3


@DTYPES
@torch.no_grad()
def test_the_controlnet_equals_the_reference(dtype: torch.dtype) -> None:
    ours, theirs = controlnet_pair(CONTROLNET, dtype)
    x, context = noise(2, 4, 8, 8, dtype=dtype), noise(2, 7, 24, dtype=dtype)
    hint, timesteps = noise(2, 3, 64, 64, dtype=dtype), torch.tensor([40.0, 500.0])
    down, middle = theirs(x, timesteps, context, hint, return_dict=False)
    embedding = ours.embed_hint(hint)
    assert distance(embedding, theirs.controlnet_cond_embedding(hint)) < TOLERANCE[dtype]
    residuals = ours(x, embedding, timesteps, context)
    assert len(residuals) == 13
    for mine, reference in zip(residuals, [*down, middle], strict=True):
        assert distance(mine, reference) < TOLERANCE[dtype]


@torch.no_grad()
def test_an_sdxl_shaped_unet_equals_the_reference() -> None:
    ours, theirs = unet_pair(SDXL, torch.float64)
    x, context = noise(2, 4, 8, 8, dtype=torch.float64), noise(2, 7, 24, dtype=torch.float64)
    timesteps, y = torch.tensor([3.0, 999.0]), noise(2, 40, dtype=torch.float64)
    theirs.add_time_proj = torch.nn.Flatten(0)  # the vector is given whole instead
    added = {"text_embeds": y, "time_ids": torch.zeros(2, 0, dtype=torch.float64)}
    expected = theirs(x, timesteps, context, added_cond_kwargs=added).sample
    assert distance(ours(x, timesteps, context, y=y), expected) < 1e-10


@torch.no_grad()
def test_a_latent_of_odd_size_equals_the_reference() -> None:
    ours, theirs = unet_pair(UNET, torch.float64)
    x, context = noise(1, 4, 9, 13, dtype=torch.float64), noise(1, 7, 24, dtype=torch.float64)
    timesteps = torch.tensor([250.0])
    expected = theirs(x, timesteps, context).sample
    assert distance(ours(x, timesteps, context), expected) < 1e-10


@DTYPES
@LAYOUTS
@torch.no_grad()
def test_the_vae_encodes_as_the_reference(dtype: torch.dtype, layout: torch.memory_format) -> None:
    ours, theirs = vae_pair(VAE, dtype)
    x = noise(2, 3, 32, 40, dtype=dtype)
    expected = theirs.encode(x).latent_dist
    mean, logvar = arranged(ours, layout).encode(x.to(memory_format=layout))
    assert distance(mean, expected.mean) < TOLERANCE[dtype]
    assert distance(logvar, expected.logvar) < TOLERANCE[dtype]


@DTYPES
@LAYOUTS
@torch.no_grad()
def test_the_vae_decodes_as_the_reference(dtype: torch.dtype, layout: torch.memory_format) -> None:
    ours, theirs = vae_pair(VAE, dtype)
    z = noise(2, 4, 4, 5, dtype=dtype)
    expected = theirs.decode(z).sample
    result = arranged(ours, layout).decode(z.to(memory_format=layout))
    assert distance(result, expected) < TOLERANCE[dtype]


@DTYPES
@torch.no_grad()
def test_the_text_encoder_equals_the_reference(dtype: torch.dtype) -> None:
    ours, theirs = text_pair(TEXT, dtype)
    ids = torch.randint(0, 49408, (2, 77), generator=torch.Generator().manual_seed(0))
    expected = theirs(ids).last_hidden_state
    assert distance(ours(ids), expected) < TOLERANCE[dtype]
