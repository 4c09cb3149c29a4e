"""Whatever stands on both sides of a split is found; a split that keeps patients together has nothing to find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.audit.checks import audit_cohort
from core.audit.findings import AuditReport
from core.config import PrepConfig, SplitConfig
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import SplitError
from core.settings import Settings
from tests.audit.images import draw_head, save


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Twelve people of two classes, six slices each; the eighth is the fourth again."""
    for person in range(12):
        for index in range(6):
            folder = tmp_path / "tree" / ("meth" if person % 2 else "unmeth")
            seed = 4 if person == 8 else person
            save(folder / f"{person:05d}_{index}.png", draw_head(seed, index))
    return scan_cohort(tmp_path / "tree", jobs=1)


def kinds(report: AuditReport) -> set[str]:
    return {finding.kind for finding in report.findings if finding.kind.endswith("both-sides")}


def by_patient(cohort: Cohort, train: list[str], test: list[str]) -> Split:
    return Split(train=tuple(train), val=(), test=tuple(test), unit="patient", seed=0, cohort_digest=cohort.digest)


def test_a_slice_split_tears_every_patient_apart(cohort: Cohort, settings: Settings) -> None:
    table = build_table(cohort, PrepConfig(size_px=32, slice_choice="all"), settings, jobs=1)
    split = make_split(table, SplitConfig(split_unit="slice"), cohort.digest)
    parts = {part: {table.rows["study_id"][i] for i in split.indices(table, part)} for part in ("train", "val", "test")}
    torn = (parts["train"] & parts["val"]) | (parts["train"] & parts["test"]) | (parts["val"] & parts["test"])
    report = audit_cohort(cohort, settings, split=split, jobs=1)
    for kind in ("patient-on-both-sides", "series-on-both-sides"):
        found = {finding.where[0].split("/")[0] for finding in report.findings if finding.kind == kind}
        assert found == torn


def test_a_duplicate_on_both_sides(cohort: Cohort, settings: Settings) -> None:
    ids = [study.study_id for study in cohort]
    apart = by_patient(cohort, [one for one in ids if one != "00008"], ["00008"])
    report = audit_cohort(cohort, settings, split=apart, jobs=1)
    assert kinds(report) == {"duplicate-on-both-sides"}
    finding = next(one for one in report.findings if one.kind == "duplicate-on-both-sides")
    assert {"unmeth/00004_0.png", "unmeth/00008_0.png"} <= set(finding.where)
    together = by_patient(cohort, ids[:9], ids[9:])
    assert not kinds(audit_cohort(cohort, settings, split=together, jobs=1))


def test_an_identity_that_came_after_the_split(cohort: Cohort, settings: Settings) -> None:
    ids = [study.study_id for study in cohort]
    split = by_patient(cohort, ids[:6], ids[6:])
    studies = tuple(replace(study, person="00001") if study.study_id == "00007" else study for study in cohort)
    report = audit_cohort(replace(cohort, studies=studies), settings, split=split, jobs=1)
    found = [finding.where for finding in report.findings if finding.kind == "patient-on-both-sides"]
    assert found == [("00001", "00007")]


def test_phases_are_a_split(tmp_path: Path, settings: Settings) -> None:
    for person, phase in ((1, "TRAIN"), (2, "TRAIN"), (3, "TEST"), (1, "TEST")):
        for index in range(2):
            save(
                tmp_path / phase / "meth" / f"{person:05d}_{10 * (phase == 'TEST') + index}.png",
                draw_head(person, index),
            )
    report = audit_cohort(scan_cohort(tmp_path, jobs=1), settings, jobs=1)
    assert kinds(report) == {"patient-on-both-sides", "duplicate-on-both-sides"}
    assert report.counted["series in the split"] == 4


def test_a_split_of_other_data_is_refused(cohort: Cohort, settings: Settings) -> None:
    with pytest.raises(SplitError, match="audit the data that the run was trained on"):
        audit_cohort(cohort, settings, split=by_patient(cohort, ["elsewhere"], ["nowhere"]), jobs=1)
