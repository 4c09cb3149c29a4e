"""What headers and sidecars say of the scanner is among a study's covariates, by the allow-list and no more."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from core.data.clinical.covariates import add_scanners, read_covariates
from core.data.clinical.participants import tabulate_covariates
from core.data.cohort import scan_cohort
from core.data.study import Study
from tests.data.dicom_files import write_mr


def test_the_scanner_is_read_from_dicom_headers(tmp_path: Path) -> None:
    for person, model, tesla in (("00001", "Skyra", 2.89362), ("00002", "Optima", 15000), ("00003", None, None)):
        for sequence in ("FLAIR", "T1w", "T2w"):
            write_mr(
                tmp_path / person / sequence / "1.dcm",
                Manufacturer="MAKER",
                ManufacturerModelName=model if sequence != "T2w" else "Workstation",
                MagneticFieldStrength=tesla,
                InstitutionName="A Hospital",
                SeriesInstanceUID=f"{int(person)}.{len(sequence)}",
                StudyInstanceUID=f"1.{int(person)}",
                PatientID=person,
            )
    cohort = scan_cohort(tmp_path)
    assert [study.covariates for study in cohort] == [
        {"manufacturer": "MAKER", "scanner": "Skyra", "field_strength": 3.0},
        {"manufacturer": "MAKER", "scanner": "Optima", "field_strength": 1.5},
        {"manufacturer": "MAKER", "scanner": "Workstation"},
    ]
    assert {row["covariate"] for row in tabulate_covariates(cohort, "label")} == {
        "manufacturer",
        "scanner",
        "field_strength",
    }


def test_the_scanner_is_read_from_sidecars_and_the_clinical_table_comes_first(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tMagneticFieldStrength\tMGMT\nsub-1\t7\tmethylated\nsub-2\tn/a\tunmethylated\n"
    )
    for person in ("sub-1", "sub-2"):
        folder = tmp_path / person / "anat"
        folder.mkdir(parents=True)
        nibabel.save(
            nibabel.Nifti1Image(np.ones((8, 9, 4), np.int16), np.diag([1, 1, 5, 1])), folder / f"{person}_T2w.nii"
        )
        sidecar = {
            "Manufacturer": "MAKER",
            "ManufacturersModelName": "Skyra",
            "MagneticFieldStrength": 3,
            "InstitutionName": "North",
            "PatientName": "Doe^Jane",
        }
        (folder / f"{person}_T2w.json").write_text(json.dumps(sidecar))
    first, second = scan_cohort(tmp_path)
    known = {"manufacturer": "MAKER", "scanner": "Skyra", "site": "North"}
    assert first.covariates == {**known, "field_strength": 7.0}
    assert second.covariates == {**known, "field_strength": 3.0}


def test_a_study_of_which_nothing_is_stated_stays_as_it_is(tmp_path: Path) -> None:
    write_mr(tmp_path / "00001" / "FLAIR" / "1.dcm")
    (study,) = add_scanners(scan_cohort(tmp_path))
    assert isinstance(study, Study)
    assert not study.covariates


@pytest.mark.parametrize(
    ("column", "cell", "known"),
    [
        ("Age", "61,5", {"age": 61.5}), ("age", "061Y", {"age": 61}), ("Age", "61 years", {"age": 61}), ("Alter", "61", {"age": 61}),
        ("Age", "999", {}), ("Age", "-9", {}), ("Age in months", "700", {}), ("Age", "old", {}), ("age_at_scan_years", "55.3", {"age": 55.3}),
        ("field_strength", "1,5", {"field_strength": 1.5}), ("Magnetic Field Strength", "3.0 T", {"field_strength": 3}),
        ("MagneticFieldStrength", "15000", {"field_strength": 1.5}), ("field_strength", "-1", {}), ("Sexo", "Femenino", {"sex": "female"}),
    ],
)  # fmt: skip
def test_numbers_have_units_and_codes_for_missing_ones_are_none(
    column: str, cell: str, known: dict[str, object]
) -> None:
    assert read_covariates({column: cell}) == known
