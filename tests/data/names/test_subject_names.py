"""Whose an image is, by its name: a patient's words, a number that it begins with, or nobody where it may be many patients'."""

from __future__ import annotations

import pytest

from core.data.names.subject_names import name_patient_of_image


@pytest.mark.parametrize(
    ("stem", "study", "patient"),
    [
        ("00430_FLAIR_12", "00430", "00430"),
        ("B10_FLAIR_01", "B10", "B10"),
        ("patient-7-T2-slice3", "patient-7", "patient-7"),
        ("BraTS20_Training_001_flair_1", "BraTS20_Training_001", "BraTS20_Training_001"),
        ("TCGA-02-0003_FLAIR_1", "TCGA-02-0003", "TCGA-02-0003"),
        ("FLAIR_00012_1", "00012", "00012"),
        ("3D_FLAIR_P1_1", "P1", "P1"),
        ("B10_slice12", "B10", "B10"),
        ("glioma_7_FLAIR_01", "glioma_7", "glioma_7"),
        ("b10_x_0_FLAIR_1", "b10_x_0", "b10_x_0"),
        ("00430_P2_FLAIR_1", "00430_P2", "00430_P2"),
        ("sub-A1_ses-2_T1w_001", "sub-A1_ses-2", "sub-A1"),
        ("2019-03-04_P1_T1_1", "2019-03-04_P1", "P1"),
        ("20190304_P1_T1_1", "20190304_P1", "P1"),
        ("P1_2019-03-04_T1_1", "P1_2019-03-04", "P1"),
    ],
)
def test_the_name_of_an_image_states_its_patient(stem: str, study: str, patient: str) -> None:
    assert name_patient_of_image(stem) == (study, patient)


@pytest.mark.parametrize(
    "stem",
    [
        "img_0001",
        "IM0001",
        "FLAIR_001",
        "smith_FLAIR_1",
        "BraTS20_Training_001",
        "B10_12",
        "set1_FLAIR_01",
        "fold2_site3_T1_4",
    ],
)
def test_a_name_whose_number_may_be_a_slices_or_many_patients_states_nobody(stem: str) -> None:
    assert name_patient_of_image(stem) == ("", "")
