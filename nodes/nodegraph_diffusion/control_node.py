"""The node that wraps a ControlNet around a UNet."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Family, node
from nodegraph_image import Image

from .control import Control
from .predictor import UNet
from .values import ControlNet
from .window import Window

Share = Annotated[float, Field(ge=0, le=1)]


@node
def apply_controlnet(
    unet: Annotated[UNet, Family("F")],
    controlnet: Annotated[ControlNet, Family("F")],
    hint: Image,
    *,
    strength: Annotated[float, Field(ge=-10, le=10)] = 1.0,
    start: Share = 0.0,
    end: Share = 1.0,
    window: Literal["sigma", "step"] = "sigma",
    mode: Literal["balanced", "soft", "cond_only", "guess"] = "balanced",
) -> Annotated[UNet, Family("F")]:
    """Let a ControlNet steer a UNet by a hint, such as edges or a depth map.

    Chain the node for several hints. The result is a new UNet that adds the ControlNet's residuals,
    times `strength`, to the frozen one; several controls are summed. A hint of another size than
    the picture is cut in the middle to its aspect and resampled; there may be one hint, or one for
    each picture of the batch.

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
        controlnet.model, controlnet.name, pixels, strength, Window(start, end, window), mode
    )
    return unet.wrapped(layer)
