"""The fast path gives what the reference gives for whatever it accepts, and leaves the rest to it."""

from __future__ import annotations

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
from core.data.formats.dicom import read_headers
from core.data.prepare import source as prepare_module
from core.data.prepare.fast_path import FIELDS, prepare_by_counts, read_files
from core.data.prepare.slices import PreparedSeries, prepare_volume
from core.data.prepare.source import prepare_series
from core.data.study import Series
from core.data.volume import read_volume
from core.errors import DataError
from core.mri import MRSequence, Plane
from core.settings import Settings, load_settings
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


def prepare_by_reference(series: Series, prep: PrepConfig) -> PreparedSeries:
    volume, faults = read_volume(series)
    return replace(prepare_volume(volume, prep), faults=faults)


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
    choice=st.sampled_from(["spread", "all"]),
    crop=st.booleans(),
    fit=st.sampled_from(["pad", "stretch"]),
    window=st.sampled_from([(0.5, 99.5), (0, 100), (12, 73.5)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fast_path_and_reference_give_the_same(
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
        fast = prepare_by_counts(series, prep, load_settings())
        try:
            reference = prepare_by_reference(series, prep)
        except DataError:
            assert fast is None
            return
    # Where the window begins below zero and tissue lies around it, the box needs the voxels themselves.
    if fast is None:
        assert crop
        assert intercept or (storage[0][0] == "i") or inverted or slope < 0
    else:
        assert_same(fast, reference)


def test_an_ordinary_series_takes_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = series_of(write_series(tmp_path, draw_slices("u2", 12, 0, 2, 0), BitsStored=12, HighBit=11))
    expected = prepare_by_reference(series, SMALL)
    monkeypatch.setattr(prepare_module, "read_volume", lambda *_: pytest.fail("the reference was called"))
    assert_same(prepare_series(series, SMALL), expected)
    assert_same(prepare_series(series, SMALL, contents=read_files(series.files)), expected)


def test_missing_slices_are_named_alike(tmp_path: Path) -> None:
    files = write_series(tmp_path / "FLAIR", draw_slices("u2", 16, 0, 0, 0))
    series = series_of([*files[:4], *files[5:]])
    fast = prepare_by_counts(series, SMALL, load_settings())
    assert fast is not None
    assert "slices may be missing" in fast.faults[0].reason
    assert_same(fast, prepare_by_reference(series, SMALL))


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
    "write", [with_an_overlay, with_two_slopes, in_big_endian, in_32_bits, with_a_damaged_file, compressed]
)
def test_anything_else_is_left_to_the_reference(tmp_path: Path, write: Any) -> None:
    series = series_of(write(tmp_path / "FLAIR"))
    assert read_headers(series.files[0])
    assert prepare_by_counts(series, SMALL, load_settings()) is None
    assert_same(prepare_series(series, SMALL), prepare_by_reference(series, SMALL))


def test_errors_are_those_of_the_reference(tmp_path: Path) -> None:
    blank = series_of(write_series(tmp_path / "FLAIR", np.zeros((5, 8, 8), np.uint16)))
    with pytest.raises(DataError, match="All 5 slices"):
        prepare_series(blank, SMALL)
    blank.files[0].unlink()
    with pytest.raises(DataError, match="All 4 slices"):
        prepare_series(blank, SMALL)


def test_the_limits_hold(tmp_path: Path, settings: Settings) -> None:
    series = series_of(write_series(tmp_path / "FLAIR", draw_slices("u2", 16, 0, 0, 0)))
    with pytest.raises(DataError, match="at most 100"):
        prepare_series(series, SMALL, replace(settings, file_pixels=100))


def test_an_unknown_setting_is_left_to_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = series_of(write_series(tmp_path / "FLAIR", draw_slices("u2", 16, 0, 0, 0)))
    stretched = SMALL.model_copy(update={"fit": "stretch"})
    assert prepare_by_counts(series, SMALL.model_copy(update={"slice_choice": "some other"}), load_settings()) is None
    assert prepare_by_counts(series, stretched, load_settings()) is not None
    monkeypatch.setattr("core.data.prepare.fast_path.FIELDS", tuple(name for name in FIELDS if name != "fit"))
    assert prepare_by_counts(series, stretched, load_settings()) is None
    assert prepare_by_counts(series, SMALL, load_settings()) is not None


@pytest.mark.parametrize("choice", ["spread", "all"])
def test_on_real_scans(shared_data: Path, choice: str) -> None:
    from core.data.cohort import scan_cohort

    prep = PrepConfig.model_validate({"slice_choice": choice})
    series = list(scan_cohort(shared_data / "rsna_dicom").series)
    assert series
    for one in series:
        fast = prepare_by_counts(one, prep, load_settings())
        assert fast is not None
        assert_same(fast, prepare_by_reference(one, prep))
