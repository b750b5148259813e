"""Hints brought to the size of the picture they steer, and parts of them erased."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Resize = Literal["crop", "stretch", "pad"]
Interpolation = Literal["linear", "nearest"]

ERASED = -1.0
"""What an inpainting ControlNet sees where the picture is to be made.

Source: lllyasviel/ControlNet-v1-1-nightly, `gradio_inpaint.py`.
"""


def fit_hint(
    hint: Tensor,
    size: tuple[int, int],
    resize: Resize = "crop",
    interpolation: Interpolation = "linear",
) -> Tensor:
    """Bring a hint (n, C, H, W) to a size.

    "crop" cuts the middle out at the size's proportions, "pad" keeps all of it and leaves black
    around it, "stretch" ignores the proportions. "linear" resampling is antialiased. A hint of the
    size already is returned as it is.
    """
    height, width = hint.shape[2:]
    if (height, width) == size:
        return hint
    if resize == "pad":
        return _padded(hint, size, interpolation)
    return _scaled(_middle(hint, size) if resize == "crop" else hint, size, interpolation)


def _middle(hint: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = hint.shape[2:]
    scale = min(height / size[0], width / size[1])
    keep_h, keep_w = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - keep_h) // 2, (width - keep_w) // 2
    return hint[:, :, top : top + keep_h, left : left + keep_w]


def _padded(hint: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    height, width = hint.shape[2:]
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = hint.new_zeros((*hint.shape[:2], *size))
    canvas[:, :, top : top + inner[0], left : left + inner[1]] = _scaled(hint, inner, interpolation)
    return canvas


def _scaled(hint: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    if interpolation == "nearest":
        return F.interpolate(hint, size=size, mode="nearest-exact")
    return F.interpolate(hint, size=size, mode="bilinear", antialias=True).clamp(0.0, 1.0)


def erase_hint(hint: Tensor, mask: Tensor) -> Tensor:
    """Return a hint (n, C, H, W) with -1 where a mask (n, 1, H, W) is 0.5 or more.

    One hint under several masks, or one mask on several hints, becomes as many as there are.
    """
    return torch.where(mask >= 0.5, hint.new_tensor(ERASED), hint)
