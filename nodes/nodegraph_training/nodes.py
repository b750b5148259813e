"""The nodes that train: each continues the run that its folder holds."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph import Context, Destination, Family, node
from nodegraph_diffusion import VAE, ControlNet, TextEncoder, UNet
from nodegraph_diffusion.models.clip import CLIPTextConfig, CLIPTextModel
from nodegraph_diffusion.models.unet import UNetConfig, UNetModel
from nodegraph_diffusion.models.vae import VAEConfig
from nodegraph_image import Image, load
from nodegraph_training import stages
from nodegraph_training.dataset import DataSet
from nodegraph_training.errors import TrainingError
from nodegraph_training.folder import FolderSource
from nodegraph_training.loop import Trained
from nodegraph_training.settings import Settings
from nodegraph_training.start import TextToImageRecipe

Steps = Annotated[int, Field(ge=1, description="optimiser steps")]
Stop = Annotated[int | None, Field(ge=0, description="stop here for now; the plan stays")]
Batch = Annotated[int, Field(ge=1, description="samples a step")]
Rate = Annotated[float, Field(gt=0, le=1, description="peak learning rate")]
Seed = Annotated[int, Field(ge=0, description="decides weights, order and noise")]
Workers = Annotated[int, Field(ge=1, le=64, description="threads that share a step")]
Every = Annotated[int, Field(ge=1, description="steps between checkpoints and between samples")]
Widths = Annotated[list[int], Field(min_length=2, description="channels of each level")]


class TrainedVAE(NamedTuple):
    """An autoencoder, the curve of its loss, true pictures above their round trips, the plan."""

    vae: VAE
    curve: Image
    samples: Image
    record: str


class TrainedTextToImage(NamedTuple):
    """A UNet, its text encoder, the curve of their loss, pictures for a few prompts, the plan."""

    unet: Annotated[UNet, Family("F")]
    text_encoder: Annotated[TextEncoder, Family("F")]
    curve: Image
    samples: Image
    record: str


class TrainedControlNet(NamedTuple):
    """A ControlNet, the curve of its loss, hints above what follows them, the plan."""

    controlnet: Annotated[ControlNet, Family("F")]
    curve: Image
    samples: Image
    record: str


@node(device="cpu", cache=False)
def folder(
    *, folder: Path, size: Annotated[int, Field(ge=16, le=4096, multiple_of=8)] = 512
) -> DataSet:
    """Open a folder of pictures with hints and texts, to train on.

    Its file `data.jsonl` has a line for each picture, `{"image": "a.png", "hint": "a_edges.png",
    "text": "a red cube"}`, with paths relative to the folder. Several kinds of hints are written
    `"hint": {"canny": "a.png", "depth": "b.png"}`; canny needs no files. Several texts are
    written as a list. Pictures are scaled and cropped in the middle to `size`.
    """
    return DataSet(FolderSource(folder, size), folder.name)


@node(cache=False)
def train_vae(
    data: DataSet,
    context: Context,
    *,
    folder: Annotated[Path, Destination()],
    steps: Steps = 2400,
    batch: Batch = 16,
    rate: Rate = 2e-3,
    warmup: Annotated[int, Field(ge=0)] = 50,
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5,
    seed: Seed = 1,
    workers: Workers = 2,
    widths: Widths = [32, 64, 64, 96],  # noqa: B006
    blocks: Annotated[int, Field(ge=1, le=8)] = 1,
    norm_groups: Annotated[int, Field(ge=1)] = 8,
    crop: Annotated[int, Field(ge=16, multiple_of=8)] = 64,
    family: str = "blocks",
    every: Every = 200,
    stop: Stop = None,
) -> TrainedVAE:
    """Train an autoencoder from scratch, on crops and at the end on whole pictures.

    `folder` keeps checkpoints, `log.jsonl`, the loss curve and samples; the same command goes on
    where a run stopped, with the very steps it would have taken. `family` names what the model
    belongs to.
    """
    settings = Settings(
        steps,
        batch,
        rate,
        warmup,
        decay,
        seed=seed,
        workers=workers,
        save_every=every,
        preview_every=every,
        stop=stop,
    )
    config = VAEConfig(widths=tuple(widths), blocks=blocks, norm_groups=norm_groups)
    vae, done = stages.train_vae(
        data.source,
        config,
        settings,
        folder,
        crop=crop,
        device=context.device,
        progress=context.progress,
    )
    return TrainedVAE(VAE(vae, family), load(done.curve).image, _samples(done), done.record)


@node(cache=False)
def train_text_to_image(
    data: DataSet,
    vae: VAE,
    context: Context,
    unet: Annotated[UNet | None, Family("F")] = None,
    text_encoder: Annotated[TextEncoder | None, Family("F")] = None,
    *,
    folder: Annotated[Path, Destination()],
    steps: Steps = 2600,
    batch: Batch = 64,
    rate: Rate = 2e-3,
    warmup: Annotated[int, Field(ge=0)] = 100,
    decay: Annotated[float, Field(gt=0, le=1)] = 0.4,
    seed: Seed = 2,
    workers: Workers = 2,
    widths: Widths = [64, 80, 80, 48],  # noqa: B006
    transformers: Annotated[list[int], Field(min_length=2)] = [0, 1, 1, 0],  # noqa: B006
    heads: Annotated[int, Field(ge=1)] = 4,
    text_width: Annotated[int, Field(ge=8)] = 96,
    text_layers: Annotated[int, Field(ge=1)] = 2,
    empty: Annotated[float, Field(ge=0, le=1)] = 0.1,
    prompts: list[str] = [],  # noqa: B006
    every: Every = 250,
    stop: Stop = None,
) -> TrainedTextToImage:
    """Train a UNet and its text encoder on the latents of a data set.

    From scratch, the UNet predicts velocity, and `transformers` counts the transformer blocks at
    each level. With `unet` and `text_encoder` connected, training begins from their weights: their
    structure, prediction and words are kept, so that `widths`, `transformers`, `heads`,
    `text_width` and `text_layers` say nothing; a rate of half and a long `decay` suit. The plan
    in the folder names the weights that a run began from, and refuses others.

    `empty` is the share of captions left out, so that guidance has something to guide away from.
    `prompts` are drawn as samples. The same command goes on where a run stopped.
    """
    if len(transformers) != len(widths):
        raise TrainingError(
            f"train_text_to_image: {len(transformers)} transformers for {len(widths)} "
            "widths; give one number a level"
        )
    settings = Settings(
        steps,
        batch,
        rate,
        warmup,
        decay,
        seed=seed,
        workers=workers,
        save_every=every,
        preview_every=every,
        stop=stop,
    )
    network_config = UNetConfig(
        widths=tuple(widths),
        transformers=tuple(transformers),
        heads=heads,
        context_width=text_width,
        norm_groups=16,
        prediction="v",
    )
    text_config = CLIPTextConfig(
        width=text_width, inner_width=4 * text_width, layers=text_layers, heads=heads
    )
    recipe = TextToImageRecipe(network_config, text_config, empty)
    network, encoder, done = stages.train_text_to_image(
        data.source,
        vae.model,
        recipe,
        settings,
        folder,
        prompts=prompts,
        device=context.device,
        begin=_pair(unet, text_encoder),
        progress=context.progress,
    )
    return TrainedTextToImage(
        UNet(network, vae.family),
        TextEncoder(encoder, vae.family),
        load(done.curve).image,
        _samples(done),
        done.record,
    )


@node(cache=False)
def train_controlnet(
    data: DataSet,
    unet: Annotated[UNet, Family("F")],
    text_encoder: Annotated[TextEncoder, Family("F")],
    vae: VAE,
    context: Context,
    controlnet: Annotated[ControlNet | None, Family("F")] = None,
    *,
    folder: Annotated[Path, Destination()],
    kind: Literal["canny", "depth", "normals", "segmentation", "hint"] = "canny",
    steps: Steps = 2800,
    batch: Batch = 32,
    rate: Rate = 2e-3,
    warmup: Annotated[int, Field(ge=0)] = 50,
    decay: Annotated[float, Field(gt=0, le=1)] = 0.4,
    seed: Seed = 3,
    workers: Workers = 1,
    hint_widths: Annotated[list[int], Field(min_length=4, max_length=4)] = [16, 24, 32, 48],  # noqa: B006
    empty: Annotated[float, Field(ge=0, le=1)] = 0.3,
    latents: Annotated[Path | None, Destination()] = None,
    every: Every = 250,
    stop: Stop = None,
) -> TrainedControlNet:
    """Train a ControlNet for one kind of hint: a trainable copy beside the locked UNet.

    The copy starts with zero convolutions, so that at first it changes nothing; the UNet, the
    text encoder and the VAE are not changed at all. With `controlnet` connected, training begins
    from its weights instead, and `hint_widths` says nothing; the plan in the folder names them.

    `empty` is the share of captions left out.
    `latents` is a file that runs on the same pictures share; without it each has its own. The same
    command goes on where a run stopped.
    """
    _alone("train_controlnet", unet)
    settings = Settings(
        steps,
        batch,
        rate,
        warmup,
        decay,
        seed=seed,
        workers=workers,
        save_every=every,
        preview_every=every,
        stop=stop,
    )
    first, second, third, fourth = hint_widths
    network, done = stages.train_control(
        data.source,
        kind,
        (unet.model, text_encoder.model, vae.model),
        settings,
        folder,
        latents=latents,
        hint_widths=(first, second, third, fourth),
        empty=empty,
        device=context.device,
        begin=None if controlnet is None else controlnet.model,
        progress=context.progress,
    )
    return TrainedControlNet(
        ControlNet(network, unet.family, kind), load(done.curve).image, _samples(done), done.record
    )


def _pair(
    unet: UNet | None, text_encoder: TextEncoder | None
) -> tuple[UNetModel, CLIPTextModel] | None:
    """Return the networks to begin from, None for a run from scratch."""
    if unet is None and text_encoder is None:
        return None
    if unet is None or text_encoder is None:
        missing = "unet" if unet is None else "text_encoder"
        raise TrainingError(
            f"train_text_to_image: {missing!r} is missing; connect both to train them further, "
            "or neither to train from scratch"
        )
    _alone("train_text_to_image", unet)
    return unet.model, text_encoder.model


def _alone(place: str, unet: UNet) -> None:
    if unet.layers:
        raise TrainingError(
            f"{place}: the UNet already has controls around it; connect the one that was loaded"
        )


def _samples(done: Trained) -> Image:
    return load(done.preview or done.curve).image
