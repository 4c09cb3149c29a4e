"""Stored voxels are prepared to the bits that float32 voxels are, and percentiles are NumPy's to the last bit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from core.config import PrepConfig
from core.data.formats.dicom import read_instance
from core.data.formats.series_reader import read_files
from core.data.index.stack import arrange
from core.data.prepare.slices import PreparedSeries, prepare_source, prepare_volume
from core.data.study import Series
from core.data.volume import find_turn, read_volume
from core.data.voxels import StoredVoxels, Voxels, percentiles
from core.errors import DataError
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.dicom_files import AXIAL, CORONAL, SAGITTAL, write_mr, write_series

SMALL = PrepConfig(size_px=32, slice_count=3)
OBLIQUE_TRANSPOSED = (0.0, 0.8, 0.6, -1.0, 0.0, 0.0)


def series_of(files: Sequence[Path]) -> Series:
    return Series(
        study_id="00001",
        sequence=MRSequence.FLAIR,
        series_uid="1.2.3.4",
        plane=Plane.AXIAL,
        files=tuple(files),
    )


def prepare_as_floats(series: Series, prep: PrepConfig) -> PreparedSeries:
    """Prepare from the values of pydicom, in float32, file by file."""
    read = [read_instance(path) for path in series.files]
    stack = arrange([header for header, _ in read])
    values = {header.path: pixels for header, pixels in read}
    array = np.stack([values[header.path] for header in stack.headers])
    if stack.headers[0].inverted:
        array -= array.min()
    turn = find_turn(stack.affine, array.shape)
    volume, faults = read_volume(series)
    floats = replace(volume, voxels=Voxels(np.ascontiguousarray(turn.apply(array))))
    return replace(prepare_volume(floats, prep), faults=faults)


def assert_same(one: PreparedSeries, other: PreparedSeries) -> None:
    for field in fields(PreparedSeries):
        found, expected = getattr(one, field.name), getattr(other, field.name)
        if isinstance(expected, np.ndarray):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
        else:
            assert found == expected


def draw_slices(dtype: str, bits: int, seed: int, blank: int, background: int) -> NDArray[Any]:
    """Nine slices with a blob over the whole range of the stored bits in all but `blank` of them.

    One slice has a protrusion, so that the box is not that of every slice. A background of -1 is the largest value.
    """
    rng = np.random.default_rng(seed)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if dtype[0] == "i" else (0, 2**bits)
    ground = background if background >= 0 else high - 1
    array = np.full((9, 14, 11), ground)
    inside = rng.random((9, 8, 6)) < rng.choice([0.5, 0.9, 1.0])
    array[:, 3:11, 2:8] = np.where(inside, rng.integers(low, high, inside.shape), ground)
    array[8, 1:3, 4:9] = high - 1 if background >= 0 else low + 1
    array[:blank] = ground
    return array.astype(dtype)


@settings(deadline=None, max_examples=120)
@given(
    storage=st.sampled_from([("u1", 8), ("u2", 8), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16)]),
    slope=st.sampled_from([1, 1, 2, 0.5, -1, 3.7, 1e-6]),
    intercept=st.sampled_from([0, 0, -1024, 7, 0.3]),
    inverted=st.booleans(),
    orientation=st.sampled_from([AXIAL, CORONAL, SAGITTAL, OBLIQUE_TRANSPOSED]),
    step_mm=st.sampled_from([3.0, -2.5]),
    implicit=st.booleans(),
    blank=st.integers(0, 8),
    background=st.sampled_from([0, 0, 1, 40, -1, -1]),
    choice=st.sampled_from(["spread", "all", "window"]),
    normalise=st.sampled_from(["percentile", "percentile", "zscore"]),
    channels=st.sampled_from(["grey", "grey", "neighbours"]),
    crop=st.booleans(),
    fit=st.sampled_from(["pad", "stretch"]),
    window=st.sampled_from([(0.5, 99.5), (0, 100), (12, 73.5)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_stored_voxels_are_prepared_as_float32_is(
    storage: tuple[str, int],
    slope: float,
    intercept: float,
    inverted: bool,
    orientation: tuple[float, ...],
    step_mm: float,
    implicit: bool,
    blank: int,
    background: int,
    choice: str,
    normalise: str,
    channels: str,
    crop: bool,
    fit: str,
    window: tuple[float, float],
    seed: int,
) -> None:
    prep = PrepConfig.model_validate(
        {
            "size_px": 32,
            "slice_count": 4,
            "slice_choice": choice,
            "normalise": normalise,
            "channels": channels,
            "crop": crop,
            "fit": fit,
            "percentile_low": window[0],
            "percentile_high": window[1],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        files = write_series(
            Path(folder) / "FLAIR",
            draw_slices(*storage, seed, blank, background),
            orientation=orientation,
            step_mm=step_mm,
            BitsStored=storage[1],
            HighBit=storage[1] - 1,
            RescaleSlope=slope,
            RescaleIntercept=intercept,
            PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
            PixelSpacing=[1.5, 0.75],
            **({"syntax": ImplicitVRLittleEndian} if implicit else {}),
        )
        series = series_of(files[::-1])
        volume, faults = read_volume(series)
        assert isinstance(volume.voxels, StoredVoxels)
        try:
            expected = prepare_as_floats(series, prep)
        except DataError as error:
            with pytest.raises(DataError, match=re.escape(str(error))):
                prepare_volume(volume, prep)
            return
        assert_same(replace(prepare_volume(volume, prep), faults=faults), expected)
        assert_same(prepare_source((series,), prep, contents=read_files(series.files)), expected)


def test_missing_slices_are_named(tmp_path: Path) -> None:
    files = write_series(tmp_path / "FLAIR", draw_slices("u2", 16, 0, 0, 0))
    series = series_of([*files[:4], *files[5:]])
    prepared = prepare_source((series,), SMALL)
    assert "slices may be missing" in prepared.faults[0].reason
    assert_same(prepared, prepare_as_floats(series, SMALL))


def with_an_overlay(folder: Path) -> list[Path]:
    array = draw_slices("u2", 12, 0, 0, 0)
    return write_series(folder, array | 0x8000, BitsStored=12, HighBit=11)


def with_two_slopes(folder: Path) -> list[Path]:
    array = draw_slices("u2", 12, 0, 0, 0)
    paths = write_series(folder, array, BitsStored=12, HighBit=11, RescaleSlope=2)
    write_mr(
        paths[4],
        array[4],
        position=(-10, -20, -30 + 4 * 3.0),
        BitsStored=12,
        HighBit=11,
        RescaleSlope=3,
        InstanceNumber=5,
    )
    return paths


def in_big_endian(folder: Path) -> list[Path]:
    return write_series(folder, draw_slices("u2", 16, 0, 0, 0).byteswap(), syntax=ExplicitVRBigEndian)


def in_32_bits(folder: Path) -> list[Path]:
    return write_series(folder, draw_slices("u2", 16, 0, 0, 0).astype(np.uint32))


def with_a_damaged_file(folder: Path) -> list[Path]:
    paths = write_series(folder, draw_slices("u2", 16, 0, 0, 0))
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    return paths


def compressed(folder: Path) -> list[Path]:
    from pydicom import dcmread

    paths = write_series(folder, draw_slices("u2", 16, 0, 0, 0))
    for path in paths:
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    return paths


@pytest.mark.parametrize(
    ("write", "stored"),
    [
        (with_an_overlay, True),
        (compressed, True),
        (in_big_endian, True),
        (with_two_slopes, False),
        (in_32_bits, False),
    ],
)
def test_what_cannot_be_held_as_stored_is_held_as_float32(tmp_path: Path, write: Any, stored: bool) -> None:
    series = series_of(write(tmp_path / "FLAIR"))
    assert isinstance(read_volume(series)[0].voxels, StoredVoxels) == stored
    assert_same(prepare_source((series,), SMALL), prepare_as_floats(series, SMALL))


def test_a_damaged_file_is_named_and_the_others_are_prepared(tmp_path: Path) -> None:
    series = series_of(with_a_damaged_file(tmp_path / "FLAIR"))
    prepared = prepare_source((series,), SMALL)
    assert "is cut off" in prepared.faults[0].reason
    rest = replace(series, files=(*series.files[:3], *series.files[4:]))
    assert_same(replace(prepared, faults=()), replace(prepare_as_floats(rest, SMALL), faults=()))


def test_blank_series_and_missing_files_are_named(tmp_path: Path) -> None:
    blank = series_of(write_series(tmp_path / "FLAIR", np.zeros((5, 8, 8), np.uint16)))
    with pytest.raises(DataError, match="All 5 slices"):
        prepare_source((blank,), SMALL)
    blank.files[0].unlink()
    with pytest.raises(DataError, match="All 4 slices"):
        prepare_source((blank,), SMALL)


def test_the_limits_hold(tmp_path: Path, settings: Settings) -> None:
    series = series_of(write_series(tmp_path / "FLAIR", draw_slices("u2", 16, 0, 0, 0)))
    with pytest.raises(DataError, match="at most 100"):
        prepare_source((series,), SMALL, replace(settings, file_pixels=100))


@pytest.mark.parametrize("choice", ["spread", "all"])
def test_on_real_scans(shared_data: Path, choice: str) -> None:
    from core.data.cohort import scan_cohort

    prep = PrepConfig.model_validate({"slice_choice": choice})
    series = list(scan_cohort(shared_data / "rsna_dicom").series)
    assert series
    for one in series:
        assert isinstance(read_volume(one)[0].voxels, StoredVoxels)
        assert_same(prepare_source((one,), prep), prepare_as_floats(one, prep))


@given(
    values=st.lists(st.integers(0, 65_535), min_size=1, max_size=200),
    ranks=st.lists(st.floats(0, 100), min_size=1, max_size=5),
)
def test_whole_numbers(values: list[int], ranks: list[float]) -> None:
    array = np.array(values, np.float32)
    assert percentiles(array.copy(), ranks) == np.percentile(array, ranks).tolist()


@pytest.mark.parametrize("odd", [-1.0, 0.5, 65_536.0, 1e30, -1e30])
def test_other_numbers(odd: float) -> None:
    array = np.append(np.random.default_rng(0).integers(0, 1000, 999), odd).astype(np.float32)
    assert percentiles(array.copy(), [0, 0.5, 99.5, 100]) == np.percentile(array, [0, 0.5, 99.5, 100]).tolist()


def test_whole_numbers_are_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(np, "percentile")
    assert percentiles(np.array([3, 1, 2], np.float32), [50]) == [2.0]
