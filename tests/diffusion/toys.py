"""Small random networks and rows for the tests of text, control and sampling."""

import torch
from torch import nn

from nodegraph_diffusion.conditioning import Conditioning
from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetConfig, ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_diffusion.predictor import UNet

UNET = UNetConfig(widths=(32, 32, 64, 64), heads=4, context_width=24, norm_groups=8)
VAE = VAEConfig(widths=(8, 8, 16, 16), blocks=1, norm_groups=4)
TEXT = CLIPTextConfig(width=24, inner_width=48, layers=2, heads=2)


def unet_model(seed: int = 0, config: UNetConfig = UNET) -> UNetModel:
    """Return a frozen random UNet."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNetModel(config).eval().requires_grad_(False)


def unet(seed: int = 0, config: UNetConfig = UNET) -> UNet:
    """Return a random UNet as a value."""
    return UNet(unet_model(seed, config), "sd1")


def controlnet_model(seed: int = 1, *, zero: bool = False) -> ControlNetModel:
    """Return a random ControlNet, its zero convolutions filled with noise unless `zero`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ControlNetModel(ControlNetConfig(UNET, hint_widths=(8, 8, 16, 16)))
        if not zero:
            zeros = [*model.zero_convs, model.middle_block_out]
            for conv in (m for part in zeros for m in part.modules() if isinstance(m, nn.Conv2d)):
                for value in conv.parameters():
                    nn.init.normal_(value, std=0.02)
            # The small hint network fades the hint: a wide last layer makes it count.
            for value in model.input_hint_block[-1].parameters():
                nn.init.normal_(value, std=1.0)
        return model.eval().requires_grad_(False)


def vae_model(seed: int = 2) -> AutoencoderKL:
    """Return a random VAE."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKL(VAE).eval().requires_grad_(False)


def text_model(seed: int = 3) -> CLIPTextModel:
    """Return a random text encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPTextModel(TEXT)
        nn.init.normal_(model.text_model.final_layer_norm.bias, mean=0.3)  # as learnt, not zero
        return model.eval().requires_grad_(False)


def conditioning(seed: int, tokens: int = 77, width: int = 24) -> Conditioning:
    """Return random context."""
    generator = torch.Generator().manual_seed(seed)
    return Conditioning(torch.randn(1, tokens, width, generator=generator))
