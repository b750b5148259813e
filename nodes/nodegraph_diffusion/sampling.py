"""The node that samples: noise in, a latent out."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, Family, node

from .conditioning import Conditioning
from .guidance import Guided
from .latent import Latent
from .predictor import UNet
from .samplers import SAMPLERS
from .schedule import Schedule, make_schedule


@node
def sample(
    unet: Annotated[UNet, Family("F")],
    positive: Annotated[Conditioning, Family("F")],
    negative: Annotated[Conditioning, Family("F")],
    latent: Latent,
    context: Context,
    *,
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0,
    steps: Annotated[int, Field(ge=1, le=10000)] = 20,
    cfg: Annotated[float, Field(ge=0, le=100)] = 7.0,
    sampler: Literal["euler", "dpmpp_2m"] = "dpmpp_2m",
    scheduler: Literal["normal", "karras"] = "karras",
    denoise: Annotated[float, Field(ge=0, le=1)] = 1.0,
    timesteps: Literal["fractional", "integer"] = "fractional",
) -> Latent:
    """Remove noise from a latent step by step, towards one prompt and away from another.

    The noise is drawn on the CPU from `seed`, so that every device starts from the same.
    `denoise` below 1 keeps something of the latent: it gets less noise, as much as a run of
    steps / denoise has before its last `steps`, and these are taken. `cfg` says how far to go
    beyond the positive prompt, away from the negative one; 1 leaves the negative one out and
    takes half the time. `timesteps` says whether the network is told the exact timestep of a
    noise level or the nearest whole one, as diffusers' multistep solvers do.
    """
    schedule = make_schedule(scheduler, unet.noise, steps, denoise=denoise, rounding=timesteps)
    _check(unet, latent, positive, negative)
    if not schedule.count:
        return latent
    if unet.layers:
        context.progress(0, schedule.count, "; ".join(unet.describe_layers(schedule)))
    generator = torch.Generator("cpu").manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like.device)

    with torch.inference_mode():
        start = latent.samples + noise(latent.samples) * schedule.sigmas[0]
        x = start.to(unet.device)
        guided = Guided(
            unet, schedule, positive, negative, cfg=cfg, batch=len(x), check=context.check
        )
        walk = SAMPLERS[sampler](guided, x, schedule.sigmas, noise)
        x = _watch(walk, x, schedule, context)
    return Latent(x.cpu().contiguous().clone())


def _watch(walk: Iterator[Tensor], x: Tensor, schedule: Schedule, context: Context) -> Tensor:
    """Follow a sampler to its end and report each step; stop at a latent that is not finite."""
    context.progress(0, schedule.count)
    for done, x in enumerate(walk, start=1):
        if not bool(x.isfinite().all()):
            raise ValueError(
                f"sample: the latent is not finite after step {done} of {schedule.count}; "
                "lower cfg or the controls' strength, or run with --dtype float32"
            )
        context.progress(done, schedule.count)
    return x


def _check(unet: UNet, latent: Latent, positive: Conditioning, negative: Conditioning) -> None:
    """Say in words what would otherwise be a shape error deep inside the network."""
    config = unet.model.config
    for name, conditioning in (("positive", positive), ("negative", negative)):
        width = conditioning.context.shape[2]
        if width != config.context_width:
            raise ValueError(
                f"sample: {name} is {width} wide and the UNet wants {config.context_width}; "
                "encode the text with the text encoder of the same checkpoint"
            )
    extra = 0 if positive.concat is None else positive.concat.shape[1]
    channels = latent.samples.shape[1]
    if channels + extra != config.in_channels:
        added = f" and {extra} to concatenate" if extra else ""
        raise ValueError(
            f"sample: the latent has {channels} channels{added}, the UNet wants "
            f"{config.in_channels}; use a latent and a model of one kind"
        )
    if not bool(latent.samples.isfinite().all()):
        raise ValueError(
            "sample: the latent to start from is not finite; repair the node or file it is from"
        )
