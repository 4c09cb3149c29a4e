"""Persons whose scans are in a format that is not read."""

from pathlib import Path

import pytest

from core.data.clinical.participants import describe_flow
from core.data.cohort import scan_cohort
from core.errors import EmptyCohortError
from tests.data.cohorts import trees

NAMES = ("flair.mha", "flair.nrrd", "flair.MGZ", "FLAIR.PAR", "flair+orig.HEAD", "flair.npy", "flair.img")


@pytest.mark.parametrize("name", NAMES)
def test_a_person_in_another_format_is_excluded_with_the_remedy(tmp_path: Path, name: str) -> None:
    trees.put(tmp_path / "anna", ["flair.nii"])
    trees.put(tmp_path / "anna", ["mask.nrrd"], b"# no scan")
    trees.put(tmp_path / "bert", [name, "notes.txt"], b"# no scan")
    trees.put(tmp_path / "docs", ["notes.txt"], b"text")
    cohort = scan_cohort(tmp_path)
    suffix = Path(name).suffix.lower()
    reason = f"a study without readable images: {suffix} files are not read; convert them to NIfTI (.nii.gz)"
    assert [(one.study_id, one.excluded) for one in cohort.excluded] == [("bert", reason)]
    assert [(fault.path, fault.reason) for fault in cohort.faults] == [("bert", reason)]
    assert describe_flow(cohort)["found"] == {"studies": 2, "persons": 2}


def test_a_folder_of_another_format_only_is_refused_with_the_remedy(tmp_path: Path) -> None:
    trees.put(tmp_path / "bert", ["flair.mha", "t1.nrrd"], b"# no scan")
    with pytest.raises(EmptyCohortError, match=r"no images: \.mha, \.nrrd files are not read; convert them to NIfTI"):
        scan_cohort(tmp_path)
