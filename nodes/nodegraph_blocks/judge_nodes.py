"""Nodes that train the judge and let it judge a model."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from nodegraph import Context, Destination, Family, node
from nodegraph_blocks.annotator import Annotator, load_annotator, read_pictures, save_annotator
from nodegraph_blocks.annotator_training import train_annotator_on
from nodegraph_blocks.dataset import BlocksDataset
from nodegraph_blocks.evaluation import Models, Sampling, evaluate_models, make_sheet
from nodegraph_blocks.heldout import COUNT, heldout_scenes
from nodegraph_blocks.judging import make_targets, score
from nodegraph_blocks.report import Report
from nodegraph_diffusion import VAE, ControlNet, TextEncoder, UNet
from nodegraph_image import Image, load
from nodegraph_training.settings import Settings


class TrainedAnnotator(NamedTuple):
    """The judge's file, what it reads right on held-out renders, and what it sees in eight."""

    file: Path
    report: Report
    preview: Image


class Judged(NamedTuple):
    """The table of figures, and a sheet with the first scenes."""

    report: Report
    sheet: Image


@node(cache=False)
def train_annotator(
    data: Path,
    context: Context,
    *,
    folder: Annotated[Path, Destination()],
    file: Annotated[Path, Destination()],
    steps: Annotated[int, Field(ge=1)] = 800,
    batch: Annotated[int, Field(ge=1)] = 32,
    rate: Annotated[float, Field(gt=0, le=1)] = 0.002,
    seed: Annotated[int, Field(ge=0)] = 0,
    count: Annotated[int, Field(ge=2, le=COUNT)] = COUNT,
) -> TrainedAnnotator:
    """Train the network that reads shape, colour and depth in pictures of the blocks world.

    Its accuracy on held-out renders is the ceiling of all figures that it gives.

    Args:
        data: a folder that `make_dataset` rendered
        folder: where the run is kept; a run that was stopped goes on from there
        file: where the finished weights go
        steps: optimiser steps
        batch: pictures a step
        rate: the peak learning rate
        seed: decides the first weights and the order of the pictures
        count: on how many of the 200 held-out renders it is tried at the end
    """
    settings = Settings(
        steps=steps,
        batch=batch,
        rate=rate,
        warmup=50,
        decay=0.5,
        ema=0.995,
        seed=seed,
        save_every=100,
        preview_every=400,
    )
    source = BlocksDataset(data, mirrored=True)
    trained = train_annotator_on(source, settings, folder, progress=context.progress)
    annotator = trained.model
    assert isinstance(annotator, Annotator)
    save_annotator(annotator, file)
    scenes = heldout_scenes()[:count]
    targets = make_targets(scenes, context)
    scores = score(load_annotator(file), targets.pictures, targets, scenes)
    report = Report({"count": len(scenes), "steps": steps}, {"true render": scores})
    assert trained.preview is not None  # the loop draws one at the end at the latest
    return TrainedAnnotator(file, report, load(trained.preview).image)


@node
def evaluate(
    unet: Annotated[UNet, Family("F")],
    vae: VAE,
    text_encoder: Annotated[TextEncoder, Family("F")],
    canny: Annotated[ControlNet, Family("F")],
    depth: Annotated[ControlNet, Family("F")],
    context: Context,
    *,
    count: Annotated[int, Field(ge=2, le=COUNT)] = COUNT,
    seed: Annotated[int, Field(ge=0)] = 0,
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    cfg: Annotated[float, Field(ge=0, le=100)] = 3.0,
    sampler: Literal["euler", "dpmpp_2m"] = "dpmpp_2m",
    scheduler: Literal["normal", "karras"] = "karras",
    strength: Annotated[float, Field(ge=0, le=10)] = 1.0,
    batch: Annotated[int, Field(ge=1, le=200)] = 25,
    annotator: Path | None = None,
) -> Judged:
    """Measure how well a model follows hints and prompts, over held-out scenes.

    Each scene is generated with canny control, with depth control and without any, once from its
    own description and once from one that contradicts the hint: other shapes, other colours. The
    true renders and their round trips through the VAE are the ceilings. The same noise is used in
    every row, so that rows differ by control and prompt alone.

    Args:
        count: how many of the 200 held-out scenes
        seed: of the noise of the first batch
        steps: sampler steps
        cfg: guidance, one for all rows
        sampler: the sampler
        scheduler: its noise levels
        strength: of the controls
        batch: pictures at once
        annotator: the judge's weights; the shipped ones when left out
    """
    models = Models(unet, vae, text_encoder, {"canny": canny, "depth": depth})
    sampling = Sampling(seed, steps, cfg, sampler, scheduler, strength, batch)
    result = evaluate_models(
        models,
        _judge(annotator),
        heldout_scenes()[:count],
        sampling,
        context,
    )
    settings = {"count": count, **vars(sampling)}
    return Judged(Report(settings, result.rows), make_sheet(result))


@node
def read_scene(image: Image, *, annotator: Path | None = None) -> list[str]:
    """Say what the judge sees in each picture, such as "a red sphere, a blue cube".

    Args:
        image: pictures of 128 x 128 pixels or any multiple of 16
        annotator: the judge's weights; the shipped ones when left out
    """
    pictures = np.rint(image.pixels * 255).astype(np.uint8)
    readings = read_pictures(_judge(annotator), pictures)
    return [
        ", ".join(f"a {thing.colour} {thing.shape}" for thing in reading.things) or "nothing"
        for reading in readings
    ]


def _judge(path: Path | None) -> Annotator:
    if path is not None:
        return load_annotator(path)
    with as_file(files("nodegraph_blocks") / "models" / "blocks-annotator.safetensors") as shipped:
        return load_annotator(shipped)
