"""The plane, the spacing and the place of NIfTI volumes: as the acquisition says, else assumed and said."""

import gzip
import json
import struct
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from core.audit.structure import find_structural
from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.formats.nifti import read_nifti_header
from core.data.index.series import scan_series
from core.data.prepare.cache import load_prepared
from core.data.prepare.slices import prepare_source
from core.data.study import Series
from core.data.volume import read_volume
from core.errors import DataError
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.dicom_files import write_series

STACK = np.random.default_rng(0).integers(1, 4000, (10, 8, 9)).astype(np.uint16)
"""(slices, rows, columns), of an axial DICOM series."""
SLICE_MM = 0.9
ROUNDING = 4e-7


def store(path: Path, spacing: tuple[float, float, float], orientation: NDArray[np.float64] | None = None) -> Path:
    """Save STACK, axial, with the spacing of its columns, rows and slices; turned to another order of axes."""
    image = nibabel.Nifti1Image(
        STACK.transpose(2, 1, 0).astype(np.int16), np.diag([-spacing[0], -spacing[1], spacing[2], 1])
    )
    nibabel.save(image if orientation is None else image.as_reoriented(orientation), path)
    return path


def read(path: Path, settings: Settings) -> Series:
    (series,) = scan_series("1", [path], path.parent, settings, MRSequence.T1W).series
    return series


@pytest.mark.parametrize("noise", [0.0, ROUNDING, -ROUNDING])
def test_a_scan_is_the_same_as_dicom_and_as_nifti_however_it_is_stored(
    tmp_path: Path, settings: Settings, noise: float
) -> None:
    as_dicom, _ = read_volume(
        scan_series(
            "1",
            write_series(tmp_path / "T1w", STACK, PixelSpacing=[0.9375, 0.9375], step_mm=SLICE_MM),
            tmp_path,
            settings,
        ).series[0]
    )
    for number, (order, flips) in enumerate(product(permutations(range(3)), product((1, -1), repeat=3))):
        orientation = np.array([order, flips]).T
        path = store(tmp_path / f"T1w_{number}.nii", (0.9375, 0.9375 + noise, SLICE_MM), orientation)
        series = read(path, settings)
        assert series.plane is Plane.AXIAL
        volume, _ = read_volume(series)
        np.testing.assert_array_equal(volume.array, as_dicom.array)
        assert not series.doubts


@pytest.mark.parametrize(
    ("spacing", "plane", "guessed"),
    [
        ((1.0, 1.0, 1.0), Plane.AXIAL, True),
        ((1.0, 1.0, 1.015), Plane.AXIAL, True),
        ((1.02, 1.0, 1.04), Plane.AXIAL, True),
        ((1.2, 1.0, 1.0), Plane.SAGITTAL, False),
        ((0.9, 1.0, 1.0), Plane.SAGITTAL, False),
        ((1.0, 0.9, 1.0), Plane.CORONAL, False),
        ((0.9, 6.0, 0.8), Plane.CORONAL, False),
    ],
)
def test_the_plane_is_told_by_the_odd_spacing_and_axial_where_none_is(
    tmp_path: Path, settings: Settings, spacing: tuple[float, float, float], plane: Plane, guessed: bool
) -> None:
    for number, order in enumerate(permutations(range(3))):
        orientation = np.array([order, (1, 1, 1)]).T
        series = read(store(tmp_path / f"T1w_{number}.nii", spacing, orientation), settings)
        assert series.plane is plane
        assert any("read as axial" in doubt for doubt in series.doubts) == guessed


def test_what_the_acquisition_states_of_its_slices_decides(tmp_path: Path, settings: Settings) -> None:
    spacing = (1.0, 1.0, 1.0)
    image = nibabel.load(store(tmp_path / "T1w.nii", spacing))
    image.header.set_dim_info(slice=0)  # type: ignore[attr-defined]
    nibabel.save(image, tmp_path / "T1w_a.nii")
    assert read(tmp_path / "T1w_a.nii", settings).plane is Plane.SAGITTAL
    sidecars = {
        "b": ({"SliceEncodingDirection": "j-"}, Plane.CORONAL),
        "c": ({"ImageOrientationPatientDICOM": [0, 1, 0.01, 0, 0.01, -1]}, Plane.SAGITTAL),
        "d": ({"ImageOrientationPatientDICOM": [1, 0, 0, 0, 0.7, 0.7]}, Plane.AXIAL),
        "e": ({"SliceEncodingDirection": 3, "ImageOrientationPatientDICOM": "oblique"}, Plane.AXIAL),
    }
    for name, (content, plane) in sidecars.items():
        path = store(tmp_path / f"T1w_{name}.nii", spacing)
        path.with_suffix(".json").write_text(json.dumps(content))
        series = read(path, settings)
        assert series.plane is plane, name
        volume, _ = read_volume(series)
        assert volume.plane is plane
        assert bool(series.doubts) == (name in "de")


def test_the_first_reader_is_kept_for_what_was_trained_with_it(tmp_path: Path, settings: Settings) -> None:
    series = read(store(tmp_path / "T1w.nii", (0.9375, 0.9375 + ROUNDING, SLICE_MM)), settings)
    small = {"size_px": 32, "slice_choice": "all", "crop": False}
    today, before = (PrepConfig(**small, reader_version=version) for version in (2, 1))  # type: ignore[arg-type]
    assert prepare_source((series,), today).slice_total == 10
    assert prepare_source((series,), before).slice_total == 8
    for prep, slices in ((today, 10), (before, 8)):
        assert load_prepared(series, prep, settings).slice_total == slices


def damage(path: Path, place: int, content: bytes) -> Path:
    stored = bytearray(path.read_bytes())
    stored[place : place + len(content)] = content
    path.write_bytes(stored)
    return path


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_spacing_that_is_no_length_is_not_taken_for_one(tmp_path: Path, settings: Settings, value: float) -> None:
    path = store(tmp_path / "T1w.nii", (1.0, 1.0, 5.0))
    damage(path, 254, struct.pack("<h", 0))  # no sform: the qform holds, and needs pixdim
    damage(path, 252, struct.pack("<h", 1))
    assert read(path, settings).spacing_mm == pytest.approx((5, 1, 1))
    series = read(damage(path, 80, struct.pack("<f", value)), settings)
    assert series.spacing_mm is None
    assert "how large its voxels are" in series.doubts[0]
    with pytest.raises(DataError, match="how large a voxel is"):
        prepare_source((series,), PrepConfig(grid_mm=3))
    assert prepare_source((series,), PrepConfig(size_px=32)).slice_total == 10


def test_a_volume_that_does_not_say_how_it_lies_has_no_plane_and_no_place(tmp_path: Path, settings: Settings) -> None:
    path = damage(store(tmp_path / "T1w.nii", (1.0, 1.0, 5.0)), 252, struct.pack("<2h", 0, 0))
    series = read(path, settings)
    assert series.plane is Plane.UNKNOWN
    assert series.spacing_mm == pytest.approx((5, 1, 1))
    assert "how it lies" in series.doubts[0]
    (finding,) = [one for one in find_structural(scan_cohort(tmp_path)) if one.kind == "unstated-geometry"]
    assert "how it lies" in finding.message
    with pytest.raises(DataError, match="how it lies"):
        prepare_source((series,), PrepConfig(grid_mm=3))


@pytest.mark.parametrize(
    ("unit", "factor", "known"),
    [(2, 1.0, True), (1, 0.001, True), (3, 1000.0, True), (1, 1.0, False), (0, 0.001, False)],
)
def test_lengths_are_in_the_unit_that_is_stated(
    tmp_path: Path, settings: Settings, unit: int, factor: float, known: bool
) -> None:
    path = store(tmp_path / "T1w.nii", (factor, factor, 5 * factor))
    header = read_nifti_header(damage(path, 123, bytes([unit])), settings)
    assert header.spacing_known == known
    if known:
        assert header.spacing_mm == pytest.approx((5, 1, 1))


@pytest.mark.parametrize("name", ["T1w.nii", "T1w.nii.gz", "T1w"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_by_its_content_whatever_its_name(
    tmp_path: Path, settings: Settings, name: str, packed: bool
) -> None:
    content = store(tmp_path / "right.nii", (1.0, 1.0, 5.0)).read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(read_volume(read(path, settings))[0].array, STACK)


def test_a_header_with_its_voxels_beside_it_is_read_and_alone_is_named(tmp_path: Path, settings: Settings) -> None:
    image = nibabel.Nifti1Pair(STACK.transpose(2, 1, 0).astype(np.int16), np.diag([-1, -1, 5, 1]))
    nibabel.save(image, tmp_path / "T1w.hdr")
    series = read(tmp_path / "T1w.hdr", settings)
    np.testing.assert_array_equal(read_volume(series)[0].array, STACK)
    (tmp_path / "T1w.img").unlink()
    with pytest.raises(DataError, match=r"T1w\.img is not beside it"):
        read_volume(series)


def test_dicom_without_pixel_spacing_has_none(tmp_path: Path, settings: Settings) -> None:
    paths = write_series(tmp_path / "T1w", STACK, PixelSpacing=None)
    (series,) = scan_series("1", paths, tmp_path, settings).series
    assert series.spacing_mm is None
    assert series.plane is Plane.AXIAL
    assert "Pixel Spacing" in series.doubts[0]
    with pytest.raises(DataError, match="how large a voxel is"):
        prepare_source((series,), PrepConfig(grid_mm=3))
