"""Preparation: the window, the choice of slices, the box, the millimetres, and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.config import PrepConfig
from core.data.prepare.slices import ImageFrame, lay_on_source, prepare_images, prepare_source, prepare_volume
from core.data.study import Series
from core.errors import DataError
from core.mri import MRSequence, Plane
from tests.data.volumes import draw_head, make_volume

SMALL = PrepConfig(size_px=32, slice_count=4)


@settings(deadline=None)
@given(st.integers(-8, 8), st.integers(0, 2**32 - 1))
def test_a_power_of_two_on_all_intensities_changes_nothing(exponent: int, seed: int) -> None:
    array = draw_head(6, 20, 16, blank=1, seed=seed)
    expected = prepare_volume(make_volume(array), SMALL)
    scaled = prepare_volume(make_volume(array * np.float32(2.0**exponent)), SMALL)
    np.testing.assert_array_equal(scaled.pixels, expected.pixels)
    np.testing.assert_array_equal(scaled.slice_index, expected.slice_index)


@settings(deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_a_positive_factor_changes_nothing_but_the_last_rounding(factor: float, seed: int) -> None:
    array = draw_head(6, 20, 16, blank=1, seed=seed)
    expected = prepare_volume(make_volume(array), SMALL)
    scaled = prepare_volume(make_volume(array * np.float32(factor)), SMALL)
    difference = scaled.pixels.astype(int) - expected.pixels
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.01
    assert scaled.frames == expected.frames


def test_the_window_is_the_volume_s_not_the_slice_s() -> None:
    array = draw_head(10)
    array[:5] /= 2  # a darker half stays darker
    pixels = prepare_volume(make_volume(array), PrepConfig(size_px=32, slice_choice="all")).pixels
    assert pixels[:5].max() < 0.6 * pixels[5:].max()
    assert pixels.max() > 200


def test_zero_stays_black_even_where_tissue_is_negative() -> None:
    array = draw_head(6)
    array[array > 0] -= 600  # as after z-scoring
    pixels = prepare_volume(make_volume(array), PrepConfig(size_px=40, crop=False)).pixels
    assert pixels[:, 0, :].max() == 0
    assert pixels.max() == 255


def test_blank_slices_are_left_out_and_counted() -> None:
    prepared = prepare_volume(make_volume(draw_head(8, blank=3)), PrepConfig(size_px=32, slice_choice="all"))
    assert (prepared.slice_total, prepared.blank_count) == (14, 6)
    assert prepared.slice_index.tolist() == list(range(3, 11))
    assert prepared.files[0] == "Image-4.dcm"
    np.testing.assert_allclose(prepared.position_mm, -30 + 3.0 * np.arange(3, 11))


def test_nothing_but_blank_slices_is_an_error() -> None:
    with pytest.raises(DataError, match=r"All 5 slices of the FLAIR series \(Image-1.dcm\) are blank"):
        prepare_volume(make_volume(np.zeros((5, 8, 8), np.float32)), SMALL)


@settings(deadline=None)
@given(slices=st.integers(1, 60), blank=st.integers(0, 5), count=st.integers(1, 70), span=st.floats(0.05, 1))
def test_spread_takes_as_many_as_there_are_evenly_and_around_the_middle(
    slices: int, blank: int, count: int, span: float
) -> None:
    prep = PrepConfig(size_px=32, slice_count=count, slice_span=span)
    index = prepare_volume(make_volume(draw_head(slices, 6, 6, blank=blank)), prep).slice_index
    assert len(index) == min(count, slices)
    assert np.all(np.diff(index) > 0)
    assert blank <= index[0] <= index[-1] < blank + slices
    assert abs((index[0] + index[-1]) / 2 - (blank + (slices - 1) / 2)) <= 1
    if len(index) > 2:
        assert np.ptp(np.diff(index)) <= 1
    assert index[-1] - index[0] <= max(span * slices, count)


def test_spread_keeps_to_its_span() -> None:
    prep = PrepConfig(size_px=32, slice_count=8, slice_span=0.5)
    index = prepare_volume(make_volume(draw_head(40, 6, 6)), prep).slice_index
    assert index.tolist() == [11, 13, 16, 18, 21, 23, 26, 28]


def test_the_crop_is_one_box_around_the_whole_head() -> None:
    array = np.zeros((4, 50, 60), np.float32)
    array[0, 20:30, 10:20] = 100
    array[1:, 25:41, 15:31] = 100
    frame = prepare_volume(make_volume(array), PrepConfig(size_px=32)).frames[0]
    assert (frame.row_start, frame.row_stop, frame.column_start, frame.column_stop) == (19, 42, 9, 32)


def test_noise_around_the_head_does_not_widen_the_box() -> None:
    array = draw_head(6, 60, 60)
    clean = prepare_volume(make_volume(array), SMALL).frames[0]
    array[array == 0] = np.random.default_rng(0).uniform(1, 12, (array == 0).sum())
    assert prepare_volume(make_volume(array), SMALL).frames[0] == clean


@pytest.mark.parametrize(("row_mm", "column_mm", "height", "width"), [(1, 1, 64, 32), (1, 2, 64, 64), (2, 1, 64, 16)])
def test_padding_keeps_the_millimetres(row_mm: float, column_mm: float, height: int, width: int) -> None:
    array = np.full((3, 40, 20), 100, np.float32)
    array[0, 0, 0] = 50
    volume = make_volume(array, (3.0, row_mm, column_mm))
    frame = prepare_volume(volume, PrepConfig(size_px=64, crop=False)).frames[0]
    assert (frame.bottom - frame.top, frame.right - frame.left) == (height, width)
    assert frame.left == 64 - frame.right


def test_stretching_fills_the_square() -> None:
    array = draw_head(3, 40, 20)
    prepared = prepare_volume(make_volume(array), PrepConfig(size_px=64, crop=False, fit="stretch"))
    frame = prepared.frames[0]
    assert (frame.top, frame.bottom, frame.left, frame.right) == (0, 64, 0, 64)


def test_shrinking_averages_instead_of_skipping() -> None:
    array = np.zeros((1, 256, 256), np.float32)
    array[:, ::2, :] = 100  # stripes finer than the image can show
    pixels = prepare_volume(make_volume(array), PrepConfig(size_px=32, crop=False)).pixels[0, 2:-2]
    assert 120 <= pixels.min() <= pixels.max() <= 135


def test_the_volume_is_left_as_it_was() -> None:
    array = draw_head()
    before = array.copy()
    prepare_volume(make_volume(array), SMALL)
    np.testing.assert_array_equal(array, before)


def test_lay_on_source_undoes_crop_and_padding_exactly_where_nothing_was_resized() -> None:
    array = draw_head(5, 64, 48)
    prepared = prepare_volume(make_volume(array), PrepConfig(size_px=64, crop=False, slice_choice="all"))
    low, high = np.percentile(array[array != 0], [0.5, 99.5])
    for index, image, frame in zip(prepared.slice_index, prepared.pixels, prepared.frames, strict=True):
        back = lay_on_source(image.astype(np.float32), frame)
        assert back.shape == (64, 48)
        np.testing.assert_allclose(back, 255 * np.clip((array[index] - low) / (high - low), 0, 1), atol=0.51)


@settings(deadline=None)
@given(
    row=st.integers(8, 50),
    column=st.integers(8, 30),
    crop=st.booleans(),
    row_mm=st.sampled_from([0.5, 1.0, 1.7]),
    fit=st.sampled_from(["pad", "stretch"]),
)
def test_lay_on_source_puts_a_mark_back_where_it_was(
    row: int, column: int, crop: bool, row_mm: float, fit: str
) -> None:
    array = np.zeros((2, 60, 40), np.float32)
    array[:, 5:55, 5:35] = 10
    array[:, row : row + 3, column : column + 3] = 1000
    prep = PrepConfig(size_px=96, crop=crop, fit=fit)
    prepared = prepare_volume(make_volume(array, (3.0, row_mm, 1.0)), prep)
    heat = lay_on_source((prepared.pixels[0] > 128).astype(np.float32), prepared.frames[0])
    where = np.argwhere(heat > 0.5).mean(axis=0)
    np.testing.assert_allclose(where, [row + 1, column + 1], atol=0.75)


def test_lay_on_source_is_zero_outside_the_box() -> None:
    frame = ImageFrame(
        source_shape=(10, 12), row_start=2, row_stop=6, column_start=3, column_stop=9, top=1, bottom=5, left=0, right=6
    )
    back = lay_on_source(np.ones((6, 6), np.float32), frame)
    assert back.sum() == 24
    assert back[2:6, 3:9].min() == 1


def image_series(*files: Path) -> Series:
    return Series(
        study_id="1", sequence=MRSequence.UNKNOWN, series_uid="", plane=Plane.UNKNOWN, files=files, kind="picture"
    )


def test_images_of_any_size_and_mode_become_square_and_grey(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (255, 255, 255)).save(tmp_path / "a.png")
    Image.new("L", (64, 64), 100).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_text("no picture")
    series = image_series(*(tmp_path / f"{name}.png" for name in "abc"))
    prepared = prepare_source((series,), PrepConfig(size_px=60))
    assert prepared.pixels.shape == (2, 60, 60)
    assert prepared.pixels[0, :10].max() == 0
    assert prepared.pixels[0, 10:50].min() == 255
    assert np.all(prepared.pixels[1] == 100)
    assert prepared.slice_index.tolist() == [0, 1]
    assert np.isnan(prepared.position_mm).all()
    assert prepared.files == ("a.png", "b.png")
    assert [Path(fault.path).name for fault in prepared.faults] == ["c.png"]


def test_a_prepared_image_is_not_changed_again(tmp_path: Path) -> None:
    pixels = prepare_volume(make_volume(draw_head()), SMALL).pixels
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    again = prepare_images(image_series(tmp_path / "a.png"), SMALL)
    np.testing.assert_array_equal(again.pixels[0], pixels[0])


def test_no_usable_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.png").write_text("no picture")
    with pytest.raises(DataError, match="No image of study 1 can be used"):
        prepare_images(image_series(tmp_path / "c.png"), SMALL)
