"""Masks as networks meet them: brought from pixels to the size of a latent or a residual."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nodegraph_image import Mask

MOST_UNLIKE = 1.05
"""A mask whose proportions differ by more than this factor from the picture's is refused."""


def mask_tensor(mask: Mask) -> Tensor:
    """Return a mask's values as (n, 1, H, W) float32."""
    return torch.tensor(mask.values).unsqueeze(1)


def check_mask(place: str, mask: Tensor, size: tuple[int, int], batch: int) -> None:
    """Refuse a mask (n, 1, H, W) that is not of the picture of a latent (batch, C, h, w).

    Raises:
        ValueError: other proportions, or a number of masks that fits no batch; `place` is named.
    """
    count, _, height, width = mask.shape
    if count not in (1, batch):
        raise ValueError(
            f"{place}: {count} masks for {batch} latents; give one mask, or one for each latent"
        )
    unlike = (width * size[0]) / (height * size[1])
    if not 1 / MOST_UNLIKE <= unlike <= MOST_UNLIKE:
        raise ValueError(
            f"{place}: the mask is {width} x {height} and the picture {8 * size[1]} x "
            f"{8 * size[0]}; give a mask of the picture's size"
        )


def scale_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a mask (n, 1, H, W) to (n, 1, h, w), the size of a latent or of a residual.

    Each value becomes the mean of the mask over the pixels that it stands for; a mask that is
    smaller is enlarged bilinearly. One of that size is returned as it is.
    """
    height, width = mask.shape[2:]
    if (height, width) == size:
        return mask
    if height >= size[0] and width >= size[1]:
        return F.interpolate(mask, size=size, mode="area")
    return F.interpolate(mask, size=size, mode="bilinear").clamp(0.0, 1.0)
