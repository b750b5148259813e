"""The table of names between the original layout and diffusers' is a bijection."""

from typing import Any

import pytest
import torch
from torch import nn

from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_diffusion.weights.layout import (
    controlnet_table,
    inverse,
    rename,
    unet_table,
    vae_table,
)
from tests.diffusion.references import (
    HINT_WIDTHS,
    SDXL,
    UNET,
    VAE,
    controlnet_pair,
    structure,
    unet_pair,
    vae_pair,
)

CONTROLNET = ControlNetConfig(UNET, hint_widths=HINT_WIDTHS)


def names(build: Any) -> list[str]:
    with torch.device("meta"):
        module: nn.Module = build()
    return list(module.state_dict())


@pytest.mark.parametrize("config", [UNetConfig(), UNET, SDXL], ids=["sd1", "small", "sdxl"])
def test_the_unets_table_is_a_bijection(config: UNetConfig) -> None:
    check_bijection(names(lambda: UNetModel(config)), unet_table(structure(config)))


@pytest.mark.parametrize("config", [UNetConfig(), UNET, SDXL], ids=["sd1", "small", "sdxl"])
def test_the_controlnets_table_is_a_bijection(config: UNetConfig) -> None:
    own = names(lambda: ControlNetModel(ControlNetConfig(config)))
    check_bijection(own, controlnet_table(structure(config)))


@pytest.mark.parametrize("config", [VAEConfig(), VAE], ids=["sd1", "small"])
def test_the_vaes_table_is_a_bijection(config: VAEConfig) -> None:
    own = names(lambda: AutoencoderKL(config))
    check_bijection(own, vae_table(len(config.widths), config.blocks))


def check_bijection(ours: list[str], table: dict[str, str]) -> None:
    theirs = [rename(name, table) for name in ours]
    assert len(set(theirs)) == len(ours)
    assert len(inverse(table)) == len(table)
    assert [rename(name, inverse(table)) for name in theirs] == ours


def test_the_tables_lead_to_the_names_that_diffusers_has() -> None:
    unet, their_unet = unet_pair(UNET, torch.float32)
    table = unet_table(structure(UNET))
    assert {rename(n, table) for n in unet.state_dict()} == set(their_unet.state_dict())
    control, their_control = controlnet_pair(CONTROLNET, torch.float32)
    table = controlnet_table(structure(UNET))
    assert {rename(n, table) for n in control.state_dict()} == set(their_control.state_dict())
    vae, their_vae = vae_pair(VAE, torch.float32)
    table = vae_table(len(VAE.widths), VAE.blocks)
    assert {rename(n, table) for n in vae.state_dict()} == set(their_vae.state_dict())
