"""Folders that are named by the numbers of series are parts of one study; what cannot be told apart from patients is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.cohort import scan_cohort
from core.data.upload import open_scan
from core.settings import Settings
from tests.data.cohorts.trees import put
from tests.data.dicom_files import write_mr

SERIES = ("t2_flair", "t1_mprage", "t2_tse")
NUMBERS = [("0", "1", "2"), ("1", "2", "3"), ("SE0001", "SE0002", "SE0003")]


def write_dicom(folder: Path, names: tuple[str, ...], study: str, patient: str | None, described: bool = True) -> None:
    """A series in each of some folders, all of one study."""
    for number, (name, description) in enumerate(zip(names, SERIES, strict=True), start=1):
        for page in range(3):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_mr(
                folder / name / f"IM{page:04d}",
                np.arange(64, dtype=np.uint16).reshape(8, 8) + number,
                position=(0, 0, 2 * page),
                StudyInstanceUID=study,
                SeriesInstanceUID=f"{study}.{number}",
                SeriesDescription=description if described else SERIES[0],
                PatientID=patient,
            )


def sequences(root: Path) -> dict[str, list[str]]:
    return {study.study_id: sorted(str(one.sequence) for one in study.series) for study in scan_cohort(root)}


@pytest.mark.parametrize("names", NUMBERS)
@pytest.mark.parametrize("patient", ["p", None])
def test_series_folders_of_dicom_are_one_study(tmp_path: Path, names: tuple[str, ...], patient: str | None) -> None:
    write_dicom(tmp_path / "one", names, "1.2.3", patient)
    assert sequences(tmp_path / "one") == {"one": ["FLAIR", "T1w", "T2w"]}


@pytest.mark.parametrize("names", NUMBERS)
def test_series_folders_below_a_patient_and_a_day_are_one_study(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number in (1, 2):
        write_dicom(tmp_path / f"P{number}" / "20190304", names, f"1.2.{number}", f"p{number}")
    assert sequences(tmp_path) == {"P1": ["FLAIR", "T1w", "T2w"], "P2": ["FLAIR", "T1w", "T2w"]}


@pytest.mark.parametrize("names", NUMBERS)
def test_series_folders_of_nifti_below_a_patient_are_one_study(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number in (1, 2):
        for name, file in zip(names, ("FLAIR", "T1", "T2"), strict=True):
            put(tmp_path / f"P{number}" / name, [f"{file}.nii.gz"])
    assert sequences(tmp_path) == {"P1": ["FLAIR", "T1w", "T2w"], "P2": ["FLAIR", "T1w", "T2w"]}


def test_numbered_folders_in_which_a_sequence_recurs_stay_sessions(tmp_path: Path) -> None:
    for name in ("1", "2"):
        put(tmp_path / "P1" / name, ["FLAIR.nii.gz", "T1.nii.gz"])
    put(tmp_path / "P2" / "1", ["FLAIR.nii.gz"])
    cohort = scan_cohort(tmp_path, session="all")
    assert sorted((study.person, len(study.series)) for study in cohort) == [("P1", 2), ("P1", 2), ("P2", 1)]


def test_patients_whose_uids_were_all_made_one_are_not_merged(tmp_path: Path) -> None:
    write_dicom(tmp_path, ("0", "1", "2"), "1.2.3", "anonymous", described=False)
    assert len({study.person for study in scan_cohort(tmp_path)}) == 3


@pytest.mark.parametrize("names", NUMBERS)
def test_patients_who_are_named_as_series_are_not_merged(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        put(tmp_path / name, ["FLAIR.nii.gz", "T1.nii.gz"])
    assert len({study.person for study in scan_cohort(tmp_path)}) == 3


@pytest.mark.parametrize("names", NUMBERS)
def test_numbered_folders_of_one_sequence_each_that_may_be_one_patients_are_said(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name, file in zip(names, ("FLAIR", "T1", "T2"), strict=True):
        put(tmp_path / name, [f"{file}.nii.gz"])
    cohort = scan_cohort(tmp_path)
    assert len({study.person for study in cohort}) == 3
    assert any(note.startswith("Each of the 3 studies holds one sequence, no other the same") for note in cohort.notes)


def test_images_of_two_patients_that_are_handed_in_together_are_two_scans(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "scans").mkdir()
    for number, name in enumerate(f"B1{of}_FLAIR_{page}.png" for of in "01" for page in "123"):
        Image.new("L", (8, 6), number + 1).save(tmp_path / "scans" / name)
    cohort = open_scan([tmp_path / "scans"], tmp_path / "work", settings)
    assert sorted(study.study_id for study in cohort) == ["B10", "B11"]
