"""The port types of frozen networks beside the UNet: VAE, text encoder and ControlNet."""

from dataclasses import dataclass

from torch import nn

from nodegraph import Codec, port

from .examples import small_controlnet, small_text_encoder, small_vae
from .models.clip import CLIPTextModel
from .models.controlnet import ControlNetModel
from .models.vae import AutoencoderKL


def bytes_of(model: nn.Module) -> int:
    """Count the bytes of a network's weights and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class VAECodec(Codec["VAE"]):
    """VAEs stay in memory; all that can be said of one is what it is."""

    @staticmethod
    def size(value: "VAE") -> int:
        """Count the bytes of the weights."""
        return bytes_of(value.model)

    @staticmethod
    def describe(value: "VAE") -> str:
        """Say family and latent channels."""
        return f"{value.family} VAE, {value.model.config.latent_channels} latent channels"

    @staticmethod
    def examples() -> "list[VAE]":
        """Give a tiny random one."""
        return [VAE(small_vae(), "sd1")]


@port(codec=VAECodec)
@dataclass(frozen=True, eq=False)
class VAE:
    """A frozen autoencoder between pictures and latents; its config holds the scale factor."""

    model: AutoencoderKL
    family: str


class TextEncoderCodec(Codec["TextEncoder"]):
    """Text encoders stay in memory; all that can be said of one is what it is."""

    @staticmethod
    def size(value: "TextEncoder") -> int:
        """Count the bytes of the weights."""
        return bytes_of(value.model)

    @staticmethod
    def describe(value: "TextEncoder") -> str:
        """Say family and width."""
        return f"{value.family} text encoder, width {value.model.config.width}"

    @staticmethod
    def examples() -> "list[TextEncoder]":
        """Give a tiny random one."""
        return [TextEncoder(small_text_encoder(), "sd1")]


@port(codec=TextEncoderCodec)
@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A frozen text encoder."""

    model: CLIPTextModel
    family: str


class ControlNetCodec(Codec["ControlNet"]):
    """ControlNets stay in memory; all that can be said of one is what it is."""

    @staticmethod
    def size(value: "ControlNet") -> int:
        """Count the bytes of the weights."""
        return bytes_of(value.model)

    @staticmethod
    def describe(value: "ControlNet") -> str:
        """Say name and family."""
        return f"{value.name}, {value.family} ControlNet"

    @staticmethod
    def examples() -> "list[ControlNet]":
        """Give a tiny random one."""
        return [ControlNet(small_controlnet(), "sd1")]


@port(codec=ControlNetCodec)
@dataclass(frozen=True, eq=False)
class ControlNet:
    """A trained ControlNet; `name` is that of its file, for messages alone."""

    model: ControlNetModel
    family: str
    name: str = "controlnet"
