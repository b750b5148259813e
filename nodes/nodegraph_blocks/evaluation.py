"""Generate pictures for the held-out scenes, with and without control, and have them judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nodegraph import Context
from nodegraph_blocks.annotator import Annotator
from nodegraph_blocks.caption import full_caption
from nodegraph_blocks.dataset import to_bytes
from nodegraph_blocks.heldout import contradict
from nodegraph_blocks.judging import SIZE, Targets, make_targets, score
from nodegraph_blocks.scene import Scene
from nodegraph_diffusion import (
    VAE,
    Conditioning,
    ControlNet,
    Latent,
    TextEncoder,
    UNet,
    apply_controlnet,
    decode,
    encode,
    encode_text,
    sample,
)
from nodegraph_image import Image, grid

Bytes = NDArray[np.uint8]

TRUE, TRIP = "true render", "VAE round trip"
SHOWN = 8  # scenes on the sheet


@dataclass(frozen=True)
class Models:
    """What is evaluated: a text-to-image model and its ControlNets by kind of hint."""

    unet: UNet
    vae: VAE
    text_encoder: TextEncoder
    controlnets: Mapping[str, ControlNet]


@dataclass(frozen=True)
class Sampling:
    """How pictures are sampled: one fixed guidance, the same noise for every row of the table."""

    seed: int = 0
    steps: int = 20
    cfg: float = 3.0
    sampler: Literal["euler", "dpmpp_2m"] = "dpmpp_2m"
    scheduler: Literal["normal", "karras"] = "karras"
    strength: float = 1.0
    batch: int = 25


@dataclass
class Evaluation:
    """Scores by row, and the pictures behind them `(N, H, W, 3) uint8`."""

    targets: Targets
    prompts: list[str]
    contrary: list[str]
    rows: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    pictures: dict[str, Bytes] = field(default_factory=dict[str, Bytes])


def evaluate_models(
    models: Models,
    annotator: Annotator,
    scenes: Sequence[Scene],
    sampling: Sampling,
    context: Context,
) -> Evaluation:
    """Fill the table: ceilings first, then every control under the true and a contrary prompt."""
    targets = make_targets(scenes, context)
    others = [contradict(scene) for scene in scenes]
    result = Evaluation(
        targets, [full_caption(s) for s in scenes], [full_caption(s) for s in others]
    )
    kinds: list[str | None] = [*models.controlnets, None]
    plan = [(kind, contrary) for kind in kinds for contrary in (False, True)]
    total = len(plan) * len(scenes)
    done = 0
    for name, pictures in _ceilings(models.vae, targets, context):
        result.pictures[name] = pictures
        result.rows[name] = score(annotator, pictures, targets, scenes)
    for kind, contrary in plan:
        name = f"{kind or 'no control'}, {'contrary' if contrary else 'true'} prompt"
        prompts = result.contrary if contrary else result.prompts
        parts: list[Bytes] = []
        for part in _pictures(models, sampling, targets, prompts, kind, context):
            parts.append(part)
            done += len(part)
            context.progress(done, total, name)
        result.pictures[name] = np.concatenate(parts)
        asked = others if contrary else scenes
        result.rows[name] = score(annotator, result.pictures[name], targets, asked)
    return result


def make_sheet(evaluation: Evaluation) -> Image:
    """Put some scenes on a sheet: a column each, from render and hints to the pictures."""
    targets = evaluation.targets
    edges = np.repeat((targets.edges * np.uint8(255))[..., None], 3, axis=-1)
    depth = np.repeat(to_bytes(targets.depth)[..., None], 3, axis=-1)
    rows = {**evaluation.pictures, "canny hint": edges, "depth hint": depth}
    names = [TRUE, TRIP, "canny hint", "depth hint"]
    names += [name for name in rows if name not in names]
    chosen = [rows[name][:SHOWN] for name in names]
    columns = min(SHOWN, len(targets.scenes))
    return grid(
        [Image(part.astype(np.float32) / np.float32(255)) for part in chosen],
        row_labels=names,
        columns=columns,
        padding=4,
        text_size=11,
    )


def _ceilings(vae: VAE, targets: Targets, context: Context) -> Iterator[tuple[str, Bytes]]:
    yield TRUE, targets.pictures
    trips: list[Bytes] = []
    for part in np.array_split(targets.pictures, -(-len(targets.pictures) // 25)):
        context.check()
        latent = encode(vae, Image(part.astype(np.float32) / np.float32(255)))
        trips.append(to_bytes(decode(vae, latent).pixels))
    yield TRIP, np.concatenate(trips)


def _pictures(
    models: Models,
    sampling: Sampling,
    targets: Targets,
    prompts: Sequence[str],
    kind: str | None,
    context: Context,
) -> Iterator[Bytes]:
    """Sample a batch at a time; the noise of a scene is the same whatever the control."""
    empty = encode_text(models.text_encoder, text="")
    for start in range(0, len(prompts), sampling.batch):
        rows = slice(start, start + sampling.batch)
        texts = [encode_text(models.text_encoder, text=text) for text in prompts[rows]]
        unet = models.unet
        if kind is not None:
            hint = Image(_hint(targets, kind)[rows])
            unet = apply_controlnet(
                unet, models.controlnets[kind], hint, strength=sampling.strength
            )
        latent = sample(
            unet,
            Conditioning(torch.cat([text.context for text in texts])),
            empty,
            Latent(torch.zeros(len(texts), 4, SIZE // 8, SIZE // 8)),
            context.silent(),
            seed=sampling.seed + start,
            steps=sampling.steps,
            cfg=sampling.cfg,
            sampler=sampling.sampler,
            scheduler=sampling.scheduler,
        )
        yield to_bytes(decode(models.vae, latent).pixels)


def _hint(targets: Targets, kind: str) -> NDArray[np.float32]:
    grey = targets.edges.astype(np.float32) if kind == "canny" else targets.depth
    return np.repeat(grey[..., None], 3, axis=-1)
