"""What a run begins from: fresh weights, or a model that is to be trained further."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.tokens import tokenizer
from nodegraph_training.dataset import PictureSource
from nodegraph_training.errors import TrainingError
from nodegraph_training.latents import digest
from nodegraph_training.state import own
from nodegraph_training.text_to_image import TextToImage
from nodegraph_training.words import check_words, install, vocabulary


@dataclass(frozen=True)
class TextToImageRecipe:
    """What a text-to-image model is and how it learns, beside the loop's settings."""

    unet: UNetConfig
    text: CLIPTextConfig
    empty: float = 0.1


def fresh_text_to_image(source: PictureSource, recipe: TextToImageRecipe, seed: int) -> TextToImage:
    """Return random networks; the text encoder has rows for the words of the data set."""
    known = vocabulary(source, tokenizer(), seed)
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    unet = UNetModel(recipe.unet)
    text = CLIPTextModel(replace(recipe.text, rows=len(known) + 1))
    install(text, known)
    return TextToImage(unet, text)


def given_text_to_image(
    source: PictureSource, unet: UNetModel, text: CLIPTextModel, seed: int
) -> TextToImage:
    """Return copies of networks that were trained before, the table of words included.

    Raises: TrainingError when the two do not belong together or cannot learn from the data set.
    """
    width, context = text.config.width, unet.config.context_width
    if width != context:
        raise TrainingError(
            f"unet: takes a context of {context} channels, the text encoder gives {width}; "
            "connect those of one model"
        )
    if unet.config.vector_width is not None:
        raise TrainingError(
            "unet: needs vectors beside the text, as SDXL does, which no data set has; "
            "train a UNet that takes text alone"
        )
    check_words(text, source, tokenizer(), seed)
    return TextToImage(own(unet), own(text))


def check_latents(unet: UNetModel, channels: int) -> None:
    """See that a UNet takes the latents of the data set.

    Raises: TrainingError when it has another number of channels.
    """
    if unet.config.in_channels != channels:
        raise TrainingError(
            f"unet: takes {unet.config.in_channels} channels, the latents of the VAE have "
            f"{channels}; connect the VAE that belongs to it"
        )


def given_controlnet(controlnet: ControlNetModel, unet: UNetModel) -> ControlNetModel:
    """Return a copy of a ControlNet that was trained before.

    Raises: TrainingError when it is no copy of this UNet's encoder, layer by layer.
    """
    wanted = _shapes(ControlNetModel.from_unet(unet, controlnet.controlnet_config.hint_widths))
    found = _shapes(controlnet)
    odd = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if odd:
        raise TrainingError(
            f"controlnet: {odd[0]!r} is {found.get(odd[0], 'missing')} and would be "
            f"{wanted.get(odd[0], 'missing')} for this UNet; begin from a ControlNet that was "
            "trained on a UNet of the same structure"
        )
    return own(controlnet)


def origin(model: nn.Module | None) -> dict[str, str]:
    """Return what a plan says of given weights: nothing when there are none."""
    return {} if model is None else {"begun_from": digest(model)}


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
