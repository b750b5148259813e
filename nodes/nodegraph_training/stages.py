"""The stages of training, each from a data set and a folder to weights."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from nodegraph_diffusion.models.clip import CLIPTextModel
from nodegraph_diffusion.models.controlnet import ControlNetModel
from nodegraph_diffusion.models.unet import UNetModel
from nodegraph_diffusion.models.vae import AutoencoderKL, VAEConfig
from nodegraph_training.control import ControlTask, check_kind
from nodegraph_training.dataset import PictureSource
from nodegraph_training.kept import below
from nodegraph_training.latents import digest, encode_all, scale_factor
from nodegraph_training.loop import Progress, Trained, silent, train
from nodegraph_training.settings import Settings
from nodegraph_training.start import (
    TextToImageRecipe,
    check_latents,
    fresh_text_to_image,
    given_controlnet,
    given_text_to_image,
    origin,
)
from nodegraph_training.state import computing_dtype, own
from nodegraph_training.text_to_image import TextToImage, TextToImageTask
from nodegraph_training.vae import VAETask


def train_vae(
    source: PictureSource,
    config: VAEConfig,
    settings: Settings,
    folder: Path,
    *,
    crop: int = 64,
    whole: float = 0.2,
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[AutoencoderKL, Trained]:
    """Train an autoencoder, on crops and for the last `whole` share of steps on pictures.

    Its scale factor is set so that latents have unit variance.
    """
    begin = round(settings.steps * (1.0 - whole))
    task = VAETask(source, config, crop=crop, whole_from=begin, seed=settings.seed)
    plan = {
        "stage": "vae",
        "pictures": len(source),
        "crop": crop,
        "whole_from": begin,
        "model": asdict(config),
    }
    done = train(task, settings, folder, device=device, progress=progress, plan=plan)
    vae = done.model
    assert isinstance(vae, AutoencoderKL)
    vae.config = replace(config, scale_factor=scale_factor(vae, source))
    return vae, done


def train_text_to_image(
    source: PictureSource,
    vae: AutoencoderKL,
    recipe: TextToImageRecipe,
    settings: Settings,
    folder: Path,
    *,
    prompts: Sequence[str] = (),
    device: str = "cpu",
    begin: tuple[UNetModel, CLIPTextModel] | None = None,
    progress: Progress = silent,
) -> tuple[UNetModel, CLIPTextModel, Trained]:
    """Train UNet and text encoder on the latents of a data set.

    From scratch, or on from the networks in `begin`, whose structure and words are kept and for
    which the recipe's structure says nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vae = own(vae)
    place = below(folder, "latents.safetensors")
    latents = encode_all(vae, source, place, settings=settings, device=device, progress=progress)
    if begin is None:
        model = fresh_text_to_image(source, recipe, settings.seed)
    else:
        model = given_text_to_image(source, *begin, settings.seed)
        recipe = replace(recipe, unet=begin[0].config, text=begin[1].config)
    check_latents(model.unet, latents.shape[1])
    task = TextToImageTask(
        source, latents, vae, model, empty=recipe.empty, prompts=prompts, seed=settings.seed
    )
    plan = {"stage": "text_to_image", "pictures": len(source), **asdict(recipe)}
    plan |= origin(None if begin is None else model)
    done = train(task, settings, folder, device=device, progress=progress, plan=plan)
    assert isinstance(done.model, TextToImage)
    return done.model.unet, done.model.text, done


def train_control(
    source: PictureSource,
    kind: str,
    locked: tuple[UNetModel, CLIPTextModel, AutoencoderKL],
    settings: Settings,
    folder: Path,
    *,
    latents: Path | None = None,
    hint_widths: tuple[int, int, int, int] = (16, 24, 32, 48),
    empty: float = 0.3,
    device: str = "cpu",
    begin: ControlNetModel | None = None,
    progress: Progress = silent,
) -> tuple[ControlNetModel, Trained]:
    """Train a ControlNet for one kind of hint on a locked model.

    From a fresh copy of the UNet's encoder, or on from the ControlNet in `begin`, which then also
    says the `hint_widths`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unet, text, vae = locked
    unet, text, vae = own(unet), own(text), own(vae)
    place = latents or below(folder, "latents.safetensors")
    encoded = encode_all(vae, source, place, settings=settings, device=device, progress=progress)
    check_kind(source, kind, vae.config.factor, encoded.shape[2:])
    if begin is None:
        torch.manual_seed(settings.seed)  # pyright: ignore[reportUnknownMemberType]
        model = ControlNetModel.from_unet(unet, hint_widths)
    else:
        model = given_controlnet(begin, unet)
        hint_widths = begin.controlnet_config.hint_widths
    precision = computing_dtype(settings, device)
    task = ControlTask(
        source,
        kind,
        encoded,
        (unet, text, vae),
        model,
        empty=empty,
        seed=settings.seed,
        precision=precision,
        device=device,
    )
    plan = {
        "stage": "control",
        "kind": kind,
        "locked": digest(unet),
        "pictures": len(source),
        "hint_widths": hint_widths,
        "empty": empty,
        **origin(begin),
    }
    done = train(task, settings, folder, device=device, progress=progress, plan=plan)
    assert isinstance(done.model, ControlNetModel)
    return done.model, done
