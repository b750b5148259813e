"""The nodes that load networks."""

from pathlib import Path

import pytest
import torch

from nodegraph import Context, NodegraphError
from nodegraph_diffusion import load_checkpoint, load_controlnet, load_vae
from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL
from nodegraph_diffusion.values import ControlNetCodec, TextEncoderCodec, VAECodec
from nodegraph_diffusion.weights import save_checkpoint, save_controlnet, save_vae
from tests.diffusion.references import HINT_WIDTHS, TEXT, UNET, VAE

CONTROLNET = ControlNetConfig(UNET, hint_widths=HINT_WIDTHS)


def checkpoint(folder: Path) -> Path:
    path = folder / "toy.safetensors"
    save_checkpoint(path, UNetModel(UNET), AutoencoderKL(VAE), CLIPTextModel(TEXT), "toy")
    return path


def test_a_checkpoint_gives_three_values_of_its_family(tmp_path: Path) -> None:
    unet, text_encoder, vae = load_checkpoint(checkpoint(tmp_path), Context())
    assert (unet.family, text_encoder.family, vae.family) == ("toy", "toy", "toy")
    assert unet.model.config == UNET
    assert VAECodec.describe(vae) == "toy VAE, 4 latent channels"
    assert TextEncoderCodec.describe(text_encoder) == "toy text encoder, width 24"
    assert VAECodec.size(vae) == 4 * sum(p.numel() for p in vae.model.parameters())


def test_a_run_in_bfloat16_gets_bfloat16(tmp_path: Path) -> None:
    unet, _, _ = load_checkpoint(checkpoint(tmp_path), Context(dtype="bfloat16"))
    assert {p.dtype for p in unet.model.parameters()} == {torch.bfloat16}


def test_auto_is_float32_on_a_cpu(tmp_path: Path) -> None:
    unet, _, _ = load_checkpoint(checkpoint(tmp_path), Context(device="cpu", dtype="auto"))
    assert {p.dtype for p in unet.model.parameters()} == {torch.float32}


def test_a_controlnet_bears_the_name_of_its_file(tmp_path: Path) -> None:
    save_controlnet(tmp_path / "my-canny.safetensors", ControlNetModel(CONTROLNET), "toy")
    control = load_controlnet(tmp_path / "my-canny.safetensors", Context())
    assert (control.name, control.family) == ("my-canny", "toy")
    assert ControlNetCodec.describe(control) == "my-canny, toy ControlNet"


def test_a_vae_is_loaded_by_itself(tmp_path: Path) -> None:
    save_vae(tmp_path / "v.safetensors", AutoencoderKL(VAE), "toy")
    assert load_vae(tmp_path / "v.safetensors", Context()).family == "toy"


@pytest.mark.parametrize("device", ["warp", "cuda:99", "mps:7"])
def test_a_device_that_is_not_here_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(NodegraphError, match=f"device '{device}': is not here; use --device cpu"):
        load_checkpoint(checkpoint(tmp_path), Context(device=device))


def test_an_unknown_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodegraphError, match="dtype 'int8': use one of float32, bfloat16, float16"):
        load_checkpoint(checkpoint(tmp_path), Context(dtype="int8"))
