"""The whole path in each dtype, on the CPU and (marked) on an accelerator."""

from typing import Any

import numpy as np
import pytest
import torch

from nodegraph import Context, NodegraphError
from nodegraph_diffusion import (
    VAE,
    ControlNet,
    TextEncoder,
    UNet,
    apply_controlnet,
    decode,
    encode,
    encode_text,
    sample,
)
from nodegraph_diffusion.loading import DTYPES, placement
from nodegraph_diffusion.samplers import SAMPLERS
from nodegraph_image import Image, Mask
from tests.diffusion import toys

RNG = np.random.default_rng(0)
PHOTO = Image(RNG.random((1, 72, 64, 3), dtype=np.float32))
HINT = Image(RNG.random((1, 72, 64, 3), dtype=np.float32))


def right_half() -> Mask:
    """Return a mask that is white on the right."""
    values = np.zeros((1, 72, 64), np.float32)
    values[:, :, 32:] = 1
    return Mask(values)


def painted(dtype: str, device: str = "cpu", **more: Any) -> Image:
    """Inpaint half of a picture under a masked and partly erased control, from text to pixels."""
    to: Any = {"dtype": DTYPES[dtype], "device": torch.device(device)}
    unet = UNet(toys.unet_model().to(**to), "sd1")
    net = ControlNet(toys.controlnet_model().to(**to), "sd1")
    vae = VAE(toys.vae_model().to(**to), "sd1")
    encoder = TextEncoder(toys.text_model().to(**to), "sd1")
    context = Context(device=device, dtype=dtype)
    guided = apply_controlnet(unet, net, HINT, mask=right_half(), erase=right_half())
    latent = sample(
        guided,
        encode_text(encoder, text="a red cube"),
        encode_text(encoder, text=""),
        encode(vae, PHOTO, tile=64, overlap=32),
        context,
        mask=right_half(),
        seed=1,
        steps=4,
        cfg=2.0,
        **more,
    )
    return decode(vae, latent, tile=64, overlap=32)


def apart(a: Image, b: Image) -> float:
    """Return how far two pictures are apart, as a share of the spread of one."""
    return float((a.pixels - b.pixels).std() / a.pixels.std())


# 8 bits of a number are kept in bfloat16, 11 in float16; 0.011 and 0.0013 were measured.
@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.03), ("float16", 0.004)])
def test_half_precision_stays_near(dtype: str, tolerance: float) -> None:
    full = painted("float32")
    half = painted(dtype)
    assert half.pixels.shape == (1, 72, 64, 3)
    assert 0 < apart(full, half) < tolerance


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "cuda:-1"])
def test_a_device_that_is_not_here_is_one_clear_error(device: str) -> None:
    with pytest.raises(NodegraphError, match=f"device '{device}': is not here; use --device cpu"):
        placement(Context(device=device))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_the_dtype_asked_for_is_taken(dtype: str) -> None:
    assert placement(Context(dtype=dtype)) == (DTYPES[dtype], torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 0.01), ("bfloat16", 0.05), ("float16", 0.02)]
)
def test_an_accelerator_paints_nearly_what_the_cpu_does(dtype: str, tolerance: float) -> None:
    assert apart(painted("float32"), painted(dtype, "cuda")) < tolerance


@pytest.mark.gpu
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_runs_on_an_accelerator(sampler: str) -> None:
    cpu, cuda = painted("float32", sampler=sampler), painted("float32", "cuda", sampler=sampler)
    assert apart(cpu, cuda) < 0.01  # the noise is the CPU's on both


@pytest.mark.gpu
def test_an_accelerator_is_named_by_number() -> None:
    last = torch.cuda.device_count() - 1
    _, device = placement(Context(device=f"cuda:{last}"))
    assert device == torch.device("cuda", last)
