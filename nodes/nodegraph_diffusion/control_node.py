"""The node that wraps a ControlNet around a UNet."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Family, node
from nodegraph_image import Image, Mask

from .control import Control
from .hints import Interpolation, Resize
from .masks import mask_tensor
from .predictor import UNet
from .values import ControlNet
from .window import Window

Share = Annotated[float, Field(ge=0, le=1)]


@node
def apply_controlnet(
    unet: Annotated[UNet, Family("F")],
    controlnet: Annotated[ControlNet, Family("F")],
    hint: Image,
    mask: Mask | None = None,
    erase: Mask | None = None,
    *,
    strength: Annotated[float, Field(ge=-10, le=10)] = 1.0,
    start: Share = 0.0,
    end: Share = 1.0,
    window: Literal["sigma", "step"] = "sigma",
    mode: Literal["balanced", "soft", "cond_only", "guess"] = "balanced",
    resize: Resize = "crop",
    interpolation: Interpolation = "linear",
) -> Annotated[UNet, Family("F")]:
    """Let a ControlNet steer a UNet by a hint, such as edges or a depth map.

    Chain the node for several hints. The result is a new UNet that adds the ControlNet's residuals,
    times `strength`, to the frozen one; several controls are summed. There may be one hint, or one
    for each picture of the batch. A hint of another size than the picture is fitted to it: `resize`
    "crop" cuts it in the middle to the picture's proportions, "pad" keeps all of it with black
    around, "stretch" ignores proportions. `interpolation` "nearest" keeps hard colours, as those
    of a segmentation, unmixed.

    `mask` says where the control acts: the residuals are multiplied by it, so that grey is less
    and black is not at all. It has the picture's size; one for all, or one for each picture.
    `erase` is for ControlNets that were trained to inpaint: where it is white the hint, the
    picture itself, becomes -1. It has the hint's size.

    `start` and `end` are shares of the way from noise to picture; equal ones switch the control
    off. `window` says how they are read: "sigma" by noise level, alike for all samplers and for
    `denoise` below 1; "step" by the number of the step, as diffusers does. Outside the window, or
    at strength 0, the ControlNet is not run at all.

    `mode`: "balanced" acts on both prompts alike; "cond_only" on the positive one only, so that
    guidance enlarges the control too; "soft" weighs shallow residuals less (0.825 per layer), so
    that the prompt counts more; "guess" is both, for pictures with an empty prompt.
    """
    if unet.family != controlnet.family:
        raise ValueError(
            f"apply_controlnet: the ControlNet is for {controlnet.family} and the UNet is "
            f"{unet.family}; use two files of one family"
        )
    pixels = torch.tensor(hint.pixels).permute(0, 3, 1, 2)
    if not bool(pixels.isfinite().all()):
        raise ValueError("apply_controlnet: the hint is not finite; repair the node that made it")
    layer = Control(
        controlnet.model, controlnet.name, pixels, strength, Window(start, end, window), mode,
        mask=_where(mask), erase=_erased(erase, hint), resize=resize, interpolation=interpolation,
    )  # fmt: skip
    return unet.wrapped(layer)


def _where(mask: Mask | None) -> Tensor | None:
    """Return a mask as a tensor; one that is white all over is none, so that no bit differs."""
    if mask is None or bool((mask.values == 1.0).all()):
        return None
    return mask_tensor(mask)


def _erased(erase: Mask | None, hint: Image) -> Tensor | None:
    if erase is None:
        return None
    count, height, width = erase.values.shape
    hints, *sides = hint.pixels.shape[:3]
    if [height, width] != sides:
        raise ValueError(
            f"apply_controlnet: erase is {width} x {height} and the hint {sides[1]} x {sides[0]}; "
            "give a mask of the hint's size"
        )
    if 1 not in (count, hints) and count != hints:
        raise ValueError(
            f"apply_controlnet: {count} masks to erase {hints} hints; give one, or one for each"
        )
    return mask_tensor(erase)
