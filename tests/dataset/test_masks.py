"""The tumour's segmentation of a public cohort is found by the names and the places of its adapter."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.dataset.masks import find_mask
from core.settings import Settings
from tests.data.cohorts.trees import LABELS, put, write_brats21, write_ds007045, write_mu, write_ucsf, write_upenn


@pytest.mark.parametrize("write", [write_upenn, write_ucsf, write_brats21, write_mu])
def test_every_study_of_a_public_cohort_has_its_own_mask(
    tmp_path: Path, settings: Settings, write: Callable[[Path], Path]
) -> None:
    cohort = scan_cohort(write(tmp_path), session="all", jobs=1)
    for study in cohort:
        if study.session.startswith("FU"):  # the tree holds none of these
            continue
        mask = find_mask(cohort, study, settings)
        assert mask is not None, study.study_id
        assert mask.array.all()


def test_a_mask_of_another_study_is_not_taken(tmp_path: Path, settings: Settings) -> None:
    cohort = scan_cohort(write_upenn(tmp_path), session="all", jobs=1)
    (tmp_path / "images_segm" / "UPENN-GBM-00002_21_segm.nii").unlink()
    found = {study.study_id: find_mask(cohort, study, settings) is not None for study in cohort}
    assert [study_id for study_id, there in found.items() if not there] == ["UPENN-GBM-00002_21"]


def test_masks_of_derivatives_lie_in_a_folder_of_their_own(tmp_path: Path, settings: Settings) -> None:
    root = write_ds007045(tmp_path)
    derivatives = root / "derivatives" / "processing"
    cohort = scan_cohort(derivatives, session="all", jobs=1)
    study = next(iter(cohort))
    place = root / "derivatives" / "segmentation" / study.study_id
    if not place.is_dir():
        put(place, [f"{study.study_id}_MNI152_tumor-mask.nii"], LABELS)
    assert find_mask(cohort, study, settings) is not None
