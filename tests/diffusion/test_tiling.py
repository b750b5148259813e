"""Tiled decoding and encoding against the whole, exactly where a network looks no further."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nodegraph_diffusion import VAE, Latent, decode, encode
from nodegraph_diffusion.tiling import spans, tiled
from nodegraph_image import Image
from tests.diffusion import toys

TOY_VAE = VAE(toys.vae_model(), "sd1")


def latent(height: int, width: int, batch: int = 1) -> Latent:
    """Return noise."""
    generator = torch.Generator().manual_seed(0)
    return Latent(torch.randn(batch, 4, height, width, generator=generator))


def blur(x: Tensor) -> Tensor:
    """Look one pixel around, as a convolution does, and see zeros beyond the border."""
    return F.conv2d(x, torch.full((1, 1, 3, 3), 1 / 9, dtype=x.dtype), padding=1)


def blur_large(x: Tensor) -> Tensor:
    """Blur and make each pixel 4 x 4: a decoder that looks one cell around."""
    return F.interpolate(blur(x), scale_factor=4.0, mode="nearest")


@pytest.mark.parametrize(
    ("length", "size", "overlap", "expected"),
    [
        (8, 8, 4, [(0, 8)]),
        (5, 8, 4, [(0, 5)]),
        (9, 8, 4, [(0, 8), (1, 9)]),
        (20, 8, 4, [(0, 8), (4, 12), (8, 16), (12, 20)]),
        (16, 8, 0, [(0, 8), (8, 16)]),
    ],
)
def test_tiles_cover_a_side(
    length: int, size: int, overlap: int, expected: list[tuple[int, int]]
) -> None:
    assert spans(length, size, overlap) == expected


@pytest.mark.parametrize("length", range(1, 60))
def test_neighbours_overlap_by_what_is_asked_for(length: int) -> None:
    for size, overlap in ((8, 0), (8, 3), (9, 8), (16, 5)):
        ends = spans(length, size, overlap)
        assert ends[0][0] == 0
        assert ends[-1][1] == length
        for before, after in pairwise(ends):
            assert before[0] < after[0] <= before[1] - overlap
            assert after[1] - after[0] == size


@pytest.mark.parametrize("size", [(16, 16), (13, 21), (5, 40), (1, 1)])
def test_a_network_that_looks_no_further_than_a_quarter_of_the_overlap_is_exact(
    size: tuple[int, int],
) -> None:
    x = torch.rand(2, 1, *size)
    together = tiled(blur_large, x, size=8, overlap=4, cell_out=4)
    torch.testing.assert_close(together, blur_large(x), atol=1e-6, rtol=0)
    cells = tiled(blur, x.repeat(1, 1, 2, 2), size=8, overlap=4, cell_in=2, cell_out=2)
    torch.testing.assert_close(cells, blur(x.repeat(1, 1, 2, 2)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("overlap", [0, 1, 2, 3, 5, 7])
def test_every_pixel_is_made_of_tiles_that_sum_to_one(overlap: int) -> None:
    x = torch.rand(1, 1, 19, 23)
    torch.testing.assert_close(tiled(lambda x: x, x, size=8, overlap=overlap), x)


def test_no_call_sees_more_than_one_tile() -> None:
    seen: list[tuple[int, ...]] = []

    def spy(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return x

    tiled(spy, torch.rand(3, 4, 20, 9), size=8, overlap=4)
    assert set(seen) == {(1, 4, 8, 8)}
    assert len(seen) == 3 * 4 * 2


def test_one_tile_that_holds_all_decodes_bit_by_bit_as_the_whole() -> None:
    z = latent(6, 9)
    np.testing.assert_array_equal(decode(TOY_VAE, z, tile=128).pixels, decode(TOY_VAE, z).pixels)


def test_tiles_decode_nearly_as_the_whole() -> None:
    z = latent(17, 25, batch=2)
    whole, pieces = decode(TOY_VAE, z).pixels, decode(TOY_VAE, z, tile=96, overlap=48).pixels
    assert pieces.shape == whole.shape
    # Norms and the one attention of a VAE see the tile only. These random weights and this noise
    # leave 0.18 of the spread; without overlap it is 0.31, and 1.4 with tiles put one cell aside.
    assert (pieces - whole).std() < 0.25 * whole.std()
    for one in range(2):
        alone = decode(TOY_VAE, Latent(z.samples[one : one + 1]), tile=96, overlap=48)
        np.testing.assert_allclose(alone.pixels[0], pieces[one], atol=1e-6)


def test_tiles_encode_nearly_as_the_whole() -> None:
    pixels = np.random.default_rng(0).random((1, 136, 200, 3), dtype=np.float32)
    whole = encode(TOY_VAE, Image(pixels)).samples
    pieces = encode(TOY_VAE, Image(pixels), tile=96, overlap=48).samples
    assert pieces.shape == whole.shape
    assert float((pieces - whole).std() / whole.std()) < 0.5
    aside = torch.roll(whole, 1, dims=3)
    assert (pieces - whole).norm() < 0.5 * (aside - whole).norm()
    once = encode(TOY_VAE, Image(pixels), tile=256).samples
    assert torch.equal(once, whole)


@pytest.mark.parametrize(("tile", "overlap"), [(64, 64), (64, 128), (12, 0), (64, 20)])
def test_tiles_that_cannot_be_are_refused(tile: int, overlap: int) -> None:
    for place, call in (
        ("decode", lambda: decode(TOY_VAE, latent(8, 8), tile=tile, overlap=overlap)),
        (
            "encode",
            lambda: encode(TOY_VAE, decode(TOY_VAE, latent(8, 8)), tile=tile, overlap=overlap),
        ),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == (
            f"{place}: tiles of {tile} with an overlap of {overlap} cannot be; "
            "give multiples of 8, and less overlap than tile"
        )


def test_what_is_not_finite_in_one_tile_is_refused() -> None:
    broken = latent(16, 16).samples
    broken[0, 0, 15, 15] = torch.nan
    with pytest.raises(ValueError, match="decode: the latent is not finite"):
        decode(TOY_VAE, Latent(broken), tile=64, overlap=16)
