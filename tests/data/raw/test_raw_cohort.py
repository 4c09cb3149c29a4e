"""A processed cohort is a cohort as any other: ids, persons, sessions, labels, covariates and exclusions stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.cli.options.shared import RAW_STEPS
from core.data.clinical.labels import Target
from core.data.cohort import scan_cohort
from core.data.raw.cohort import process_cohort, process_scan
from core.data.raw.config import STEPS, RawConfig
from core.data.study import Cohort, Study
from core.errors import DataError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.raw.heads import scan, write_study

READ_ONLY = RawConfig(steps=("orient",))


@pytest.fixture
def cohort(tmp_path: Path, settings: Settings) -> Cohort:
    """Three studies of two persons, one without a label, and one that is excluded."""
    volumes = {MRSequence.T1WCE: scan(MRSequence.T1WCE)}
    studies = []
    for study_id, person, session, label in (
        ("P1_pre", "P1", "pre", 1),
        ("P1_post", "P1", "post", 1),
        ("P 2", "P2", "", 0),
    ):
        one = write_study(tmp_path / "raw", study_id, volumes, settings, label)
        studies.append(
            replace(one, person=person, session=session, covariates={"age": 61.0, "site": "A", "extent": "GTR"})
        )
    studies.append(replace(write_study(tmp_path / "raw", "P3", volumes, settings), person="P3"))
    left_out = Study(study_id="P4", person="P4", label=None, series=(), excluded="MGMT is 'unknown'")
    return Cohort(root=tmp_path / "raw", layout="rsna", studies=tuple(studies), excluded=(left_out,), synthetic=True)


def test_ids_persons_sessions_labels_covariates_and_exclusions_stay(
    cohort: Cohort, tmp_path: Path, settings: Settings
) -> None:
    outcome = process_cohort(cohort, READ_ONLY, tmp_path / "out", settings, jobs=1)
    assert len(outcome.processed) == 4
    read = scan_cohort(tmp_path / "out", settings=settings, session="all", jobs=1)
    assert read.adapter == "processed"
    assert {one.study_id: (one.person, one.session, one.label) for one in read} == {
        one.study_id: (one.person, one.session, one.label) for one in cohort
    }
    assert read["P 2"].covariates == {"age": 61.0, "site": "A", "extent": "GTR"}
    assert [(one.study_id, one.excluded) for one in read.excluded] == [("P4", "MGMT is 'unknown'")]
    assert read.synthetic
    assert read.class_names == cohort.class_names
    assert all(series.sequence_confidence == "certain" for series in read.series)


def test_a_cohort_without_labels_can_be_read_again(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    process_cohort(cohort, READ_ONLY, tmp_path / "out", settings, jobs=1)
    unlabelled = replace(cohort, studies=tuple(replace(one, label=None) for one in cohort))
    process_cohort(unlabelled, READ_ONLY, tmp_path / "out", settings, jobs=1)
    read = scan_cohort(tmp_path / "out", settings=settings, session="all", jobs=1)
    assert {one.study_id: one.label for one in read} == dict.fromkeys((one.study_id for one in cohort), None)


def test_another_target_is_read_by_its_column(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    other = replace(cohort, class_names=("wildtype", "mutant"))
    process_cohort(other, READ_ONLY, tmp_path / "out", settings, target="IDH", jobs=1)
    target = Target(column="IDH", positive="mutant")
    read = scan_cohort(tmp_path / "out", settings=settings, session="all", jobs=1, target=target)
    assert read.class_names == ("wildtype", "mutant")
    assert {one.study_id: one.label for one in read} == {one.study_id: one.label for one in cohort}


def test_a_study_that_fails_is_refused_by_name_and_the_others_go_on(
    cohort: Cohort, tmp_path: Path, settings: Settings
) -> None:
    broken = cohort.studies[0].series[0].files[0]
    broken.write_bytes(broken.read_bytes()[:2000])
    outcome = process_cohort(cohort, READ_ONLY, tmp_path / "out", settings, jobs=1)
    assert [study_id for study_id, _ in outcome.refused] == ["P1_pre"]
    assert len(outcome.processed) == 3
    read = scan_cohort(tmp_path / "out", settings=settings, session="all", jobs=1)
    assert "damaged" in {one.study_id: one.excluded for one in read.excluded}["P1_pre"]


def test_where_all_fail_the_first_reason_is_given(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(DataError, match=r"All 4 studies were refused; the first: .*brain"):
        process_cohort(_without_t1w(cohort), RawConfig(steps=("brain",)), tmp_path / "out", settings, jobs=1)


def test_a_scan_that_is_handed_in_keeps_its_id(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    found = process_scan(cohort, READ_ONLY, tmp_path / "out", settings)
    assert [one.study_id for one in found] == sorted(one.study_id for one in cohort)
    assert "Processed from raw 1: orient." in found.notes


def _without_t1w(cohort: Cohort) -> Cohort:
    studies = tuple(
        replace(study, series=tuple(replace(one, sequence=MRSequence.T2W) for one in study.series)) for study in cohort
    )
    return replace(cohort, studies=studies)


def test_the_command_line_names_the_steps() -> None:
    assert RAW_STEPS == STEPS
