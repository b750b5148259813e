"""The node that samples: noise in, a latent out."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, Family, node
from nodegraph_image import Mask

from .conditioning import Conditioning
from .control import Control
from .guidance import Guided
from .inpainting import Inpainting
from .latent import Latent
from .masks import check_mask, mask_tensor, scale_mask
from .predictor import UNet
from .replay import Replayed
from .samplers import SamplerName, make_sampler
from .schedule import Rounding, Schedule, SchedulerName, make_schedule
from .sigmas import Sigmas


@node
def sample(
    unet: Annotated[UNet, Family("F")],
    positive: Annotated[Conditioning, Family("F")],
    negative: Annotated[Conditioning, Family("F")],
    latent: Latent,
    context: Context,
    sigmas: Sigmas | None = None,
    mask: Mask | None = None,
    original: Latent | None = None,
    *,
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0,
    steps: Annotated[int, Field(ge=1, le=10000)] = 20,
    cfg: Annotated[float, Field(ge=0, le=100)] = 7.0,
    sampler: SamplerName = "dpmpp_2m",
    scheduler: SchedulerName = "karras",
    denoise: Annotated[float, Field(ge=0, le=1)] = 1.0,
    eta: Annotated[float, Field(ge=0, le=1)] | None = None,
    add_noise: bool = True,
    timesteps: Rounding = "fractional",
) -> Latent:
    """Remove noise from a latent step by step, towards one prompt and away from another.

    The noise is drawn on the CPU from `seed`, so that every device starts from the same.
    `denoise` below 1 keeps something of the latent: it gets less noise, as much as a run of
    steps / denoise has before its last `steps`, and these are taken. `cfg` says how far to go
    beyond the positive prompt, away from the negative one; 1 leaves the negative one out and
    takes half the time.

    With `mask` only what is white is painted anew; the rest stays that of the latent, to the bit
    where the mask is black. `sigmas` are noise levels of your own instead of `scheduler`, `steps`
    and `denoise`: see `split_sigmas`, whose second part is sampled with `add_noise` off, because
    its latent has its noise already. With a mask, that part needs the latent from before the first
    part as `original`.

    `eta` says how much of each step's noise is drawn anew, for the samplers that draw any: 0
    nothing, 1 all; left out, `ddim` takes 0, `euler_ancestral` and `dpmpp_2m_sde` take 1.
    `timesteps` says whether the network is told the exact timestep of a noise level or the nearest
    whole one, as diffusers' multistep solvers do.
    """
    schedule = _schedule(unet, sigmas, scheduler, steps, denoise, timesteps)
    walk = make_sampler(sampler, eta)
    _check(unet, latent, positive, negative)
    kept = _kept(latent, mask, original, add_noise=add_noise)
    _tell(context, unet, schedule)
    generator = torch.Generator("cpu").manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like.device)

    with torch.inference_mode():
        start = noise(latent.samples)
        for _ in range(schedule.first):
            noise(latent.samples)  # what the part before drew: one in each step
        noisy = latent.samples + start * schedule.sigmas[0] if add_noise else latent.samples
        x, start = noisy.to(unet.device), start.to(unet.device)
        guided = Guided(
            unet, schedule, positive, negative, cfg=cfg, batch=len(x), check=context.check
        )
        replayed = Replayed(guided, context.partial, context.every)
        if kept is None:
            x = _watch(walk(replayed, x, schedule.sigmas, noise), x, schedule, context)
        else:
            area, base = (part.to(unet.device) for part in kept)
            inpainting = Inpainting(replayed, area, base, start)
            x = _watch(walk(inpainting, x, schedule.sigmas, noise), x, schedule, context)
            x = inpainting.close(x, schedule.sigmas[-1])
    return Latent(x.cpu().contiguous().clone())


def _schedule(
    unet: UNet,
    sigmas: Sigmas | None,
    scheduler: str,
    steps: int,
    denoise: float,
    rounding: Rounding,
) -> Schedule:
    """Lay out the run, or take the levels that are given."""
    if sigmas is None:
        return make_schedule(scheduler, unet.noise, steps, denoise=denoise, rounding=rounding)
    if (scheduler, steps, denoise) != ("karras", 20, 1.0):
        raise ValueError(
            "sample: scheduler, steps and denoise have no say where sigmas are given; "
            "leave them out, or set them in make_sigmas"
        )
    return Schedule(sigmas.levels, unet.noise, rounding, sigmas.first, sigmas.total)


def _kept(
    latent: Latent, mask: Mask | None, original: Latent | None, *, add_noise: bool
) -> tuple[Tensor, Tensor] | None:
    """Return the mask at the latent's size, and the latents that stay outside of it."""
    if mask is None:
        if original is not None:
            raise ValueError("sample: original goes with a mask; give one, or leave it out")
        return None
    if original is None and not add_noise:
        raise ValueError(
            "sample: with add_noise off the latent is not what stays outside of the mask; give the "
            "latent from before the first part as original"
        )
    base = (original or latent).samples
    if base.shape[1:] != latent.samples.shape[1:] or len(base) not in (1, len(latent.samples)):
        raise ValueError(
            f"sample: original is {tuple(base.shape)} and latent {tuple(latent.samples.shape)}; "
            "give two of one size"
        )
    if not bool(base.isfinite().all()):
        raise ValueError("sample: original is not finite; repair the node or file it is from")
    batch, _, height, width = latent.samples.shape
    area = mask_tensor(mask)
    check_mask("sample", area, (height, width), batch)
    return scale_mask(area, (height, width)), base.expand(latent.samples.shape)


def _tell(context: Context, unet: UNet, schedule: Schedule) -> None:
    """Say and record what the layers do in this run, the controls in the order of their nodes."""
    controls = [layer for layer in unet.layers if isinstance(layer, Control)]
    if controls:
        context.note("controls", [control.note(schedule) for control in controls])
    if schedule.count and unet.layers:
        context.progress(0, schedule.count, "; ".join(unet.describe_layers(schedule)))


def _watch(walk: Iterator[Tensor], x: Tensor, schedule: Schedule, context: Context) -> Tensor:
    """Follow a sampler to its end and report each step; stop at a latent that is not finite."""
    if schedule.count:
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
    if config.out_channels != channels:
        raise ValueError(
            f"sample: the latent has {channels} channels and the UNet predicts "
            f"{config.out_channels}; use a model that predicts as many"
        )
    if not bool(latent.samples.isfinite().all()):
        raise ValueError(
            "sample: the latent to start from is not finite; repair the node or file it is from"
        )
