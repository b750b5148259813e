"""`image.grid`: where the cells of a contact sheet lie, and how labels wrap."""

import numpy as np
import pytest
from PIL import ImageFont

from nodegraph_image import Image, grid
from nodegraph_image.drawing import wrap

WIDE = Image(np.full((1, 10, 20, 3), 0.2, np.float32))
TALL = Image(np.full((1, 20, 10, 3), 0.6, np.float32))
FONT = ImageFont.load_default(13)


def test_cells_stand_in_rows_with_padding_around() -> None:
    sheet = grid([WIDE, WIDE, WIDE], columns=2, padding=3, background="#ff0000").pixels[0]
    assert sheet.shape == (3 + 2 * 13, 3 + 2 * 23, 3)
    filled = np.isclose(sheet[..., 0], 0.2)
    assert filled[3:13, 3:23].all()
    assert filled[3:13, 26:46].all()
    assert filled[16:26, 3:23].all()
    assert filled.sum() == 3 * 200
    assert np.all(sheet[16:26, 26:46] == (1, 0, 0))


def test_a_batch_is_taken_apart() -> None:
    batch = Image(np.repeat(WIDE.pixels, 4, axis=0))
    np.testing.assert_array_equal(grid([batch]).pixels, grid([WIDE] * 4).pixels)


def test_different_proportions_are_centred() -> None:
    sheet = grid([WIDE, TALL], columns=2, padding=0).pixels[0]
    assert sheet.shape == (20, 40, 3)
    assert np.isclose(sheet[5:15, :20], 0.2).all()
    assert np.isclose(sheet[:, 25:35], 0.6).all()


def test_size_is_the_longer_side() -> None:
    assert grid([WIDE], size=40, padding=0).pixels.shape == (1, 20, 40, 3)


def test_labels_make_room_below_their_row_only() -> None:
    bare = grid([WIDE, WIDE], columns=1, padding=2).pixels
    labelled = grid([WIDE, WIDE], columns=1, padding=2, labels=["a"]).pixels
    assert labelled.shape[1] > bare.shape[1]
    assert labelled[0, 2 + 10 : -12].min() < 0.5  # the letter
    np.testing.assert_array_equal(labelled[0, -12:], bare[0, -12:])


def test_row_labels_stand_above_their_row() -> None:
    sheet = grid([WIDE, WIDE], columns=1, padding=2, row_labels=["", "ab"]).pixels[0]
    bare = grid([WIDE, WIDE], columns=1, padding=2).pixels[0]
    np.testing.assert_array_equal(sheet[:14], bare[:14])
    np.testing.assert_array_equal(sheet[-12:], bare[-12:])
    assert sheet[14:-12].min() < 0.5  # the letters
    assert np.all(sheet[14:-12, :2] == 1)


def test_more_row_labels_than_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 row_labels for 1 rows"):
        grid([WIDE, WIDE], columns=2, row_labels=["a", "b"])


def test_labels_wrap_at_spaces() -> None:
    width = int(FONT.getlength("a red sphere"))
    assert wrap("a red sphere left of a cube", FONT, width) == ("a red sphere", "left of a", "cube")


def test_a_word_longer_than_a_line_is_broken() -> None:
    lines = wrap("w" * 50, FONT, 60)
    assert "".join(lines) == "w" * 50
    assert all(FONT.getlength(line) <= 60 for line in lines)


def test_an_empty_label_has_no_lines() -> None:
    assert wrap("  ", FONT, 60) == ()


def test_no_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match="grid: there are no pictures"):
        grid([])


def test_too_many_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 labels for 1 pictures"):
        grid([WIDE], labels=["a", "b"])


def test_a_sheet_that_could_not_be_read_again_is_refused() -> None:
    tall = Image(np.zeros((1, 8192, 1, 3), np.float32))
    wide = Image(np.zeros((1, 1, 8192, 3), np.float32))
    with pytest.raises(
        ValueError, match=r"grid: a sheet of .* is more than 67,108,864 pixels; set"
    ):
        grid([tall, wide])


def test_a_sheet_that_is_too_large_is_refused_before_its_pictures_grow() -> None:
    many = Image(np.zeros((300, 2, 2, 3), np.float32))  # 60 GB of pixels
    with pytest.raises(ValueError, match="a sheet of at least 5,033,164,800 is more than"):
        grid([many], size=4096)


def test_an_endless_word_wraps_in_no_time_or_is_refused() -> None:
    lines = wrap("w" * 4000, FONT, 100)
    assert "".join(lines) == "w" * 4000
    assert all(FONT.getlength(line) <= 100 for line in lines)
    assert all(FONT.getlength(line + "w") > 100 for line in lines[:-1])
    with pytest.raises(ValueError, match="a label of 90000 letters is too long"):
        wrap("W" * 90_000, FONT, 20)
