"""The audit finds every fault that was planted, and nothing where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.audit.checks import audit_cohort
from core.audit.findings import KINDS
from core.data.cohort import scan_cohort
from core.phantom.faults import read_planted
from core.settings import Settings
from tests.audit.conftest import write_study

NEEDS_MORE = {
    "flagged-study",
    "known-same-patient",
    "set-aside",
    "unsupported-syntax",
    "too-large",
    "archive-inside",
    "unstated-geometry",
    "not-mr",
    "patient-on-both-sides",
    "series-on-both-sides",
    "duplicate-on-both-sides",
    "person-in-two-cohorts",
    "same-scan-in-two-cohorts",
}
"""Kinds that cannot be planted: they need a split, real ids, or files of another kind, and have tests of their own."""


def test_every_planted_fault_is_found_and_nothing_else(spoilt_folder: Path, settings: Settings) -> None:
    planted = read_planted(spoilt_folder)
    report = audit_cohort(scan_cohort(spoilt_folder, jobs=1), settings, jobs=1)
    missed = [
        (kind, where)
        for kind, where in planted
        if not any(finding.kind == kind and set(where) <= set(finding.where) for finding in report.findings)
    ]
    assert not missed
    extra = [
        (finding.kind, finding.where)
        for finding in report.findings
        if finding.severity != "note"
        and not any(finding.kind == kind and set(where) <= set(finding.where) for kind, where in planted)
    ]
    assert not extra


def test_every_kind_can_be_planted_or_has_its_own_test(spoilt_folder: Path) -> None:
    assert {kind for kind, _ in read_planted(spoilt_folder)} == KINDS.keys() - NEEDS_MORE


def test_a_clean_cohort_has_only_notes(clean_folder: Path, settings: Settings) -> None:
    report = audit_cohort(scan_cohort(clean_folder, jobs=1), settings, jobs=1)
    assert {finding.kind for finding in report.findings} == {"mixed-planes", "file-order"}
    assert report.counted["studies"] == 24
    assert report.counted["series"] == 96
    assert report.counted["slices"] == report.counted["slices compared"] == 768


def test_a_second_audit_reads_no_pixel(clean_folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = scan_cohort(clean_folder, jobs=1)
    first = audit_cohort(cohort, settings, jobs=1)
    monkeypatch.setattr("core.audit.pixels.read_volume", lambda *_: pytest.fail("read again"))
    heard: list[tuple[int, int]] = []
    again = audit_cohort(cohort, settings, jobs=1, progress=lambda done, total, what="": heard.append((done, total)))
    assert again.to_dict() == first.to_dict()
    assert heard == [(96, 96)]


def test_the_ids_that_the_competition_flags_are_named(tmp_path: Path, settings: Settings) -> None:
    for number, study in enumerate(("00109", "00110")):
        write_study(tmp_path / "train" / study, number)
    report = audit_cohort(scan_cohort(tmp_path, jobs=1), settings, jobs=1)
    assert [finding.where for finding in report.findings if finding.kind == "flagged-study"] == [("00109",)]


def test_ids_of_one_person_are_a_note_and_their_shared_pixels_no_error(tmp_path: Path, settings: Settings) -> None:
    write_study(tmp_path / "train" / "00557", 0)
    shutil.copytree(tmp_path / "train" / "00557", tmp_path / "train" / "00639")
    report = audit_cohort(scan_cohort(tmp_path, jobs=1), settings, jobs=1)
    kinds = {finding.kind for finding in report.findings}
    assert "known-same-patient" in kinds
    assert not kinds & {"same-patient", "duplicate-between-patients"}


def test_real_duplicates_are_found(shared_data: Path, settings: Settings) -> None:
    folder = shared_data / "imagefolder_yes_no"
    if not folder.is_dir():
        pytest.skip("imagefolder_yes_no is not there")
    report = audit_cohort(scan_cohort(folder, jobs=1), settings, jobs=1)
    assert sum(finding.kind == "duplicate-between-patients" for finding in report.findings) == 25


def test_real_slices_of_different_patients_are_no_duplicates(shared_data: Path, settings: Settings) -> None:
    folder = shared_data / "rsna_t1wce_jpeg"
    if not folder.is_dir():
        pytest.skip("rsna_t1wce_jpeg is not there")
    labels = shared_data / "labels" / "train_labels.csv"
    report = audit_cohort(scan_cohort(folder, labels=labels, jobs=1), settings, jobs=1)
    assert {finding.kind for finding in report.findings} == {"label-without-study"}
    assert len(report.findings[0].where) == 585 - 72
