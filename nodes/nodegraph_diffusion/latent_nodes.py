"""The nodes that change latents without a network: another size, copies, one laid over another."""

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field

from nodegraph import node
from nodegraph_image import Mask

from .coding import MOST_PIXELS
from .latent import Latent
from .masks import check_mask, mask_tensor, scale_mask

Side = Annotated[int, Field(ge=8, le=16384, multiple_of=8)]
Factor = Annotated[float, Field(gt=0, le=16)]

_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic", "area": "area"}


@node(device="cpu")
def resize_latent(
    latent: Latent,
    *,
    width: Side | None = None,
    height: Side | None = None,
    scale: Factor | None = None,
    interpolation: Literal["nearest", "bilinear", "bicubic", "area"] = "bicubic",
) -> Latent:
    """Change the size of latents, to sample a larger picture from a smaller one.

    Give `width` and `height` of the picture in pixels, or `scale`; the result is rounded to
    multiples of 8 pixels. The latent is blurred by this, so sample on from it with a `denoise` of
    about 0.5: that is the second pass of a "hires fix". Decoding, resizing the picture and
    encoding it again keeps more and costs more. Where a side shrinks, bilinear and bicubic are
    antialiased.

    Raises:
        ValueError: not one of the two, or more than 67 megapixels.
    """
    sides = _sides(latent, width, height, scale)
    batch = len(latent.samples)
    if batch * 64 * sides[0] * sides[1] > MOST_PIXELS:
        raise ValueError(
            f"resize_latent: {batch} x {8 * sides[1]} x {8 * sides[0]} is more than "
            f"{MOST_PIXELS:,} pixels; make less at a time"
        )
    if tuple(latent.samples.shape[2:]) == sides:
        return latent
    smooth = interpolation in ("bilinear", "bicubic")
    samples = F.interpolate(
        latent.samples, size=sides, mode=_MODES[interpolation], antialias=smooth
    )
    return Latent(samples.contiguous())


def _sides(
    latent: Latent, width: int | None, height: int | None, scale: float | None
) -> tuple[int, int]:
    """Return the new height and width in latent pixels."""
    if scale is not None and width is None and height is None:
        old_height, old_width = latent.samples.shape[2:]
        return max(1, round(old_height * scale)), max(1, round(old_width * scale))
    if scale is None and width is not None and height is not None:
        if width % 8 or height % 8 or min(width, height) < 8:
            raise ValueError(f"resize_latent: {width} x {height} is not a multiple of 8")
        return height // 8, width // 8
    raise ValueError("resize_latent: give either width and height, or scale")


@node(device="cpu")
def repeat_latent(latent: Latent, *, count: Annotated[int, Field(ge=1, le=1024)]) -> Latent:
    """Repeat latents to a batch, to sample several variations of one picture in one run.

    Each copy gets noise of its own.
    """
    batch, _, height, width = latent.samples.shape
    if count * batch * 64 * height * width > MOST_PIXELS:
        raise ValueError(
            f"repeat_latent: {count * batch} x {8 * width} x {8 * height} is more than "
            f"{MOST_PIXELS:,} pixels; make less at a time"
        )
    return Latent(latent.samples.repeat(count, 1, 1, 1))


@node(device="cpu")
def composite_latent(latent: Latent, over: Latent, mask: Mask) -> Latent:
    """Lay one latent over another of the same size where a mask is white.

    The mask has the picture's size and is brought to the latent's; grey mixes both. There may be
    one of each for all, or one for each picture of the batch.
    """
    below, above = latent.samples, over.samples
    batch = max(len(below), len(above))
    if below.shape[1:] != above.shape[1:] or {len(below), len(above)} - {1, batch}:
        raise ValueError(
            f"composite_latent: one is {tuple(below.shape)} and the other {tuple(above.shape)}; "
            "give two of one size"
        )
    if not bool(below.isfinite().all() and above.isfinite().all()):
        raise ValueError("composite_latent: a latent is not finite; look at where it comes from")
    size = (below.shape[2], below.shape[3])
    area = mask_tensor(mask)
    check_mask("composite_latent", area, size, batch if batch > 1 else len(area))
    share = scale_mask(area, size)
    return Latent((share * above + (1.0 - share) * below).contiguous())
