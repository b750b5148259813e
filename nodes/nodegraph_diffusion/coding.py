"""The nodes between pictures and latents."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import node
from nodegraph_image import Image

from .latent import Latent
from .tiling import tiled
from .values import VAE

MOST_PIXELS = 2**26
"""Pictures of one batch together, 67 megapixels: some gigabytes while they are decoded."""

Side = Annotated[int, Field(ge=8, le=16384, multiple_of=8)]
Tile = Annotated[int, Field(ge=0, le=16384, multiple_of=8)]


@node(device="cpu")
def empty_latent(
    *,
    width: Side = 512,
    height: Side = 512,
    batch: Annotated[int, Field(ge=1, le=1024)] = 1,
) -> Latent:
    """Make a latent of zeros, to sample a picture of `width` x `height` pixels (multiples of 8).

    Raises:
        ValueError: a side is no multiple of 8, or the batch has more than 67 megapixels.
    """
    _check_sides("empty_latent", width, height, 8)
    if batch * width * height > MOST_PIXELS:
        raise ValueError(
            f"empty_latent: {batch} x {width} x {height} is more than {MOST_PIXELS:,} pixels; "
            "make less at a time"
        )
    return Latent(torch.zeros(batch, 4, height // 8, width // 8))


@node
def encode(vae: VAE, image: Image, *, tile: Tile = 0, overlap: Tile = 64) -> Latent:
    """Turn pictures into latents: the mean of the VAE's posterior, times its scale factor.

    Width and height have to be multiples of 8; resize or pad others first. `tile` and `overlap`
    are those of `decode`.
    """
    model = vae.model
    _, height, width, _ = image.pixels.shape
    _check_sides("encode", width, height, model.config.factor)
    weight = next(model.parameters())

    def run(x: Tensor) -> Tensor:
        x = x.to(weight.device, weight.dtype, memory_format=torch.channels_last)
        return model.encode(x)[0].float() * model.config.scale_factor

    with torch.inference_mode():
        x = torch.tensor(image.pixels).permute(0, 3, 1, 2) * 2.0 - 1.0
        if tile:
            size, shared = _cells("encode", tile, overlap, model.config.factor)
            samples = tiled(run, x, size=size, overlap=shared, cell_in=model.config.factor)
        else:
            samples = run(x)
    return Latent(samples.cpu().contiguous().clone())


@node
def decode(vae: VAE, latent: Latent, *, tile: Tile = 0, overlap: Tile = 64) -> Image:
    """Turn latents into pictures.

    A large picture needs much memory. With `tile` it is decoded in tiles of that many pixels, one
    at a time, which overlap by at least `overlap` pixels and fade into each other. The tiles do not
    know of each other, so colours may drift a little between them: the larger the tiles, the less.
    0 decodes the whole at once.
    """
    model = vae.model
    channels = latent.samples.shape[1]
    if channels != model.config.latent_channels:
        raise ValueError(
            f"decode: the latent has {channels} channels and the VAE wants "
            f"{model.config.latent_channels}; use the VAE of the model that made the latent"
        )
    if not bool(latent.samples.isfinite().all()):
        raise ValueError("decode: the latent is not finite; look at where it comes from")
    weight = next(model.parameters())

    def run(z: Tensor) -> Tensor:
        z = z.to(weight.device, torch.float32) / model.config.scale_factor
        return model.decode(z.to(weight.dtype, memory_format=torch.channels_last)).float()

    with torch.inference_mode():
        if tile:
            size, shared = _cells("decode", tile, overlap, model.config.factor)
            x = tiled(run, latent.samples, size=size, overlap=shared, cell_out=model.config.factor)
        else:
            x = run(latent.samples)
        if not bool(x.isfinite().all()):
            raise ValueError("decode: the picture is not finite; run with --dtype float32")
        pixels = ((x + 1.0) / 2.0).clamp(0.0, 1.0).permute(0, 2, 3, 1)
    return Image(pixels.cpu().numpy())


def _cells(place: str, tile: int, overlap: int, factor: int) -> tuple[int, int]:
    """Return the size of tiles and their overlap in latent pixels."""
    if tile % factor or overlap % factor or overlap >= tile:
        raise ValueError(
            f"{place}: tiles of {tile} with an overlap of {overlap} cannot be; give multiples of "
            f"{factor}, and less overlap than tile"
        )
    return tile // factor, overlap // factor


def _check_sides(place: str, width: int, height: int, factor: int) -> None:
    if width % factor or height % factor:
        near_w, near_h = (max(factor, round(side / factor) * factor) for side in (width, height))
        raise ValueError(
            f"{place}: {width} x {height} is not a multiple of {factor}; "
            f"the nearest size is {near_w} x {near_h}"
        )
