"""`image.load`: every kind of good file gives the right pixels and mask."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as pillow
from PIL.PngImagePlugin import PngInfo

from nodegraph_image import load

Array = npt.NDArray[Any]


@pytest.fixture
def colours() -> Array:
    """A picture (4, 6, 3) uint8 without any symmetry."""
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def loaded(path: Path) -> tuple[Array, Array]:
    image, mask = load(path)
    assert image.pixels.shape[0] == 1
    return image.pixels[0], mask.values[0]


def test_rgb_png_is_read_exactly(tmp_path: Path, colours: Array) -> None:
    pillow.fromarray(colours).save(tmp_path / "x.png")
    pixels, mask = loaded(tmp_path / "x.png")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, colours.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(mask, np.ones((4, 6)))


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_are_read_as_pillow_reads_them(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    path = tmp_path / f"x.{suffix}"
    pillow.fromarray(np.stack([np.tile(ramp, (32, 1))] * 3, -1)).save(path)
    with pillow.open(path) as reference:
        expected = np.asarray(reference.convert("RGB"), np.float32) / np.float32(255)
    np.testing.assert_array_equal(loaded(path)[0], expected)


def test_alpha_becomes_the_mask_and_leaves_colours_alone(tmp_path: Path, colours: Array) -> None:
    alpha = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    pillow.fromarray(np.dstack([colours, alpha])).save(tmp_path / "x.png")
    pixels, mask = loaded(tmp_path / "x.png")
    np.testing.assert_allclose(pixels * 255, colours, atol=1e-4)
    np.testing.assert_allclose(mask * 255, alpha, atol=1e-4)


def test_grey_becomes_three_equal_channels(tmp_path: Path, colours: Array) -> None:
    pillow.fromarray(colours[..., 0]).save(tmp_path / "x.png")
    pixels, _ = loaded(tmp_path / "x.png")
    np.testing.assert_allclose(pixels * 255, np.dstack([colours[..., 0]] * 3), atol=1e-4)


def test_grey_with_alpha_gives_both(tmp_path: Path, colours: Array) -> None:
    pillow.fromarray(colours[..., :2], mode="LA").save(tmp_path / "x.png")
    pixels, mask = loaded(tmp_path / "x.png")
    np.testing.assert_allclose(pixels[..., 1] * 255, colours[..., 0], atol=1e-4)
    np.testing.assert_allclose(mask * 255, colours[..., 1], atol=1e-4)


def test_one_bit_picture_is_black_and_white(tmp_path: Path) -> None:
    pillow.fromarray(np.eye(5) > 0).save(tmp_path / "x.png")
    np.testing.assert_array_equal(loaded(tmp_path / "x.png")[0][..., 0], np.eye(5))


def test_palette_with_a_transparent_entry(tmp_path: Path) -> None:
    picture = pillow.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    picture.save(tmp_path / "x.png", transparency=1)
    pixels, mask = loaded(tmp_path / "x.png")
    np.testing.assert_array_equal(pixels[0], [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(mask[0], [1, 0])


@pytest.mark.parametrize("channels", [(), (3,), (4,)], ids=["grey", "rgb", "rgba"])
def test_sixteen_bits_are_kept(tmp_path: Path, channels: tuple[int, ...]) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (5, 7, *channels), np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), deep)  # BGR and BGRA
    pixels, mask = loaded(tmp_path / "x.png")
    rgb = deep[..., 2::-1] if channels else np.dstack([deep] * 3)
    np.testing.assert_allclose(pixels, rgb / 65535, atol=1e-7)
    expected = deep[..., 3] / 65535 if channels == (4,) else np.ones((5, 7))
    np.testing.assert_allclose(mask, expected, atol=1e-7)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_exif_orientation_is_undone(
    tmp_path: Path, colours: Array, orientation: int, suffix: str
) -> None:
    stored = _sideways(colours, orientation)
    exif = pillow.Exif()
    exif[0x0112] = orientation
    pillow.fromarray(stored).save(tmp_path / f"x.{suffix}", exif=exif, lossless=True)
    pixels, mask = loaded(tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(pixels * 255, colours, atol=1e-4)
    assert mask.shape == (4, 6)


def _sideways(upright: Array, orientation: int) -> Array:
    """Store a picture as a camera does: EXIF says where row 0 and column 0 of the file belong."""
    row, column = ("tl", "tr", "br", "bl", "lt", "rt", "rb", "lb")[orientation - 1]
    turned = upright if row in "tb" else upright.swapaxes(0, 1)
    if row in "br":
        turned = turned[::-1]
    return np.ascontiguousarray(turned[:, ::-1] if column in "rb" else turned)


def test_jpeg_orientation_is_undone(tmp_path: Path) -> None:
    exif = pillow.Exif()
    exif[0x0112] = 6
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = 255  # the left half of the file is the top of the picture
    pillow.fromarray(stored).save(tmp_path / "x.jpg", exif=exif)
    pixels, _ = loaded(tmp_path / "x.jpg")
    assert pixels.shape == (32, 16, 3)
    assert pixels[:14].min() > 0.9
    assert pixels[18:].max() < 0.1


def test_damaged_exif_does_not_spoil_a_picture(tmp_path: Path, colours: Array) -> None:
    path = tmp_path / "x.jpg"
    pillow.fromarray(colours).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    assert loaded(path)[0].shape == (4, 6, 3)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, colours: Array) -> None:
    frames = [pillow.fromarray(colours), pillow.fromarray(255 - colours)]
    for suffix in ("png", "webp"):
        path = tmp_path / f"x.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        np.testing.assert_allclose(loaded(path)[0] * 255, colours, atol=1e-4)


def test_of_a_gif_the_first_frame_is_read_with_what_is_transparent(tmp_path: Path) -> None:
    frames = [pillow.new("P", (3, 2), colour) for colour in (1, 2)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 250, 40, 10, 10, 40, 250])
        frame.putpixel((0, 0), 0)
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:], transparency=0)
    pixels, alpha = loaded(tmp_path / "x.gif")
    assert (pixels[1, 2] * 255).round().tolist() == [250, 40, 10]
    assert alpha[0].tolist() == [0, 1, 1]


def test_content_counts_and_not_the_name(tmp_path: Path, colours: Array) -> None:
    pillow.fromarray(colours).save(tmp_path / "x.jpg", format="PNG")
    np.testing.assert_allclose(loaded(tmp_path / "x.jpg")[0] * 255, colours, atol=1e-4)


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    pillow.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg")
    assert loaded(tmp_path / "x.jpg")[0][4, 4] == pytest.approx([1, 0, 0], abs=0.05)


def test_text_in_a_png_is_no_obstacle(tmp_path: Path, colours: Array) -> None:
    chunks = PngInfo()
    chunks.add_text("nodegraph", "x" * 2_000_000)
    pillow.fromarray(colours).save(tmp_path / "x.png", pnginfo=chunks)
    assert loaded(tmp_path / "x.png")[0].shape == (4, 6, 3)


def test_a_grey_that_a_png_calls_transparent_is_no_part_of_the_mask(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    pillow.fromarray(np.array([[1000, 65535]], np.uint16)).save(path, transparency=1000)
    assert load(path).mask.values.tolist() == [[[0, 1]]]
