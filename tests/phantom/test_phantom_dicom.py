"""Synthetic files as DICOM: valid, anonymous, in no order but that of their positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, MRImageStorage

from core.mri import MRSequence, Plane
from core.phantom.dicom import SCANNERS, draw_header, draw_uid, write_series

AFFINE = np.array([[0, 0, 1.5, -40.0], [0, 2.0, 0, -30.0], [6.0, 0, 0, -50.0], [0, 0, 0, 1]])
"""Axial: slices 6 mm, rows 2 mm, columns 1.5 mm apart."""


@pytest.fixture
def files(tmp_path: Path) -> list[pydicom.FileDataset]:
    rng = np.random.default_rng(0)
    header = draw_header(
        rng,
        study_id="12345",
        sequence=MRSequence.FLAIR,
        scanner=SCANNERS[1],
        study_uid=draw_uid(rng),
        frame_uid=draw_uid(rng),
        series_number=3,
    )
    pixels = np.arange(12, dtype=np.uint16)[:, None, None] + np.zeros((12, 8, 10), np.uint16)
    write_series(tmp_path, pixels, header, plane=Plane.AXIAL, affine=AFFINE, thickness_mm=4.0, rng=rng)
    return [pydicom.dcmread(tmp_path / f"Image-{n}.dcm") for n in range(1, 13)]


def test_files_are_valid_mr_without_a_person(files: list[pydicom.FileDataset]) -> None:
    for dataset in files:
        assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == MRImageStorage
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert all(element.value.is_valid for element in dataset if isinstance(element.value, UID))
        assert not dataset.PatientName
        assert not dataset.PatientBirthDate
        assert (dataset.PatientID, dataset.PatientIdentityRemoved) == ("12345", "YES")
        assert dataset.InversionTime is not None
        assert dataset.pixel_array.shape == (8, 10)
    assert len({dataset.SOPInstanceUID for dataset in files}) == 12
    assert len({(dataset.StudyInstanceUID, dataset.SeriesInstanceUID) for dataset in files}) == 1


def test_position_says_which_slice_it_is_and_nothing_else_does(files: list[pydicom.FileDataset]) -> None:
    by_place = sorted(files, key=lambda dataset: dataset.ImagePositionPatient[2])
    assert [int(dataset.pixel_array[0, 0]) for dataset in by_place] == list(range(12))
    by_name = [int(dataset.pixel_array[0, 0]) for dataset in files]
    by_number = [int(d.pixel_array[0, 0]) for d in sorted(files, key=lambda dataset: dataset.InstanceNumber)]
    for order in (by_name, by_number):
        assert sorted(order) == list(range(12))
        assert order not in (list(range(12)), list(range(11, -1, -1)))
    assert by_name != by_number


def test_geometry_is_the_affines(files: list[pydicom.FileDataset]) -> None:
    dataset = min(files, key=lambda dataset: dataset.ImagePositionPatient[2])
    assert list(dataset.PixelSpacing) == [2.0, 1.5]
    assert list(dataset.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert list(dataset.ImagePositionPatient) == [-40, -30, -50]
    assert (dataset.SpacingBetweenSlices, dataset.SliceThickness) == (6.0, 4.0)
