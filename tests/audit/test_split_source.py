"""A split in whatever form it comes gives the same findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.audit.checks import BOTH_SIDES, audit_split
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.dataset.split import Split
from core.errors import SplitError
from core.settings import Settings
from tests.audit.images import draw_head, save


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Four people, four slices each; the last is the first again."""
    for person in range(4):
        for index in range(4):
            folder = tmp_path / "tree" / ("meth" if person % 2 else "unmeth")
            save(folder / f"{person:05d}_{index}.png", draw_head(0 if person == 3 else person, index))
    return scan_cohort(tmp_path / "tree", jobs=1)


def kinds(cohort: Cohort, split: Split | Path | None, settings: Settings) -> set[str]:
    report = audit_split(cohort, split, settings, jobs=1)
    assert {finding.kind for finding in report.findings} <= set(BOTH_SIDES)
    return {finding.kind for finding in report.findings if finding.kind.endswith("both-sides")}


def test_a_run_s_split_its_file_a_table_and_a_tree_say_the_same(
    cohort: Cohort, tmp_path: Path, settings: Settings
) -> None:
    ids = [study.study_id for study in cohort]
    split = Split(
        train=tuple(ids[:2]), val=(), test=tuple(ids[2:]), unit="patient", seed=0, cohort_digest=cohort.digest
    )
    written, table, tree = tmp_path / "split.json", tmp_path / "split.csv", tmp_path / "phases"
    written.write_text(split.to_json())
    table.write_text("Name,Part\n" + "".join(f"{one},{'Training' if one in ids[:2] else 'test'}\n" for one in ids))
    for person in range(4):
        phase, label = "TRAIN" if f"{person:05d}" in ids[:2] else "TEST", "meth" if person % 2 else "unmeth"
        for index in range(4):
            save(tree / phase / label / f"{person:05d}_{index}.png", draw_head(0 if person == 3 else person, index))
    expected = {"duplicate-on-both-sides"}
    for source in (split, written, table, tree):
        assert kinds(cohort, source, settings) == expected, source
    assert kinds(scan_cohort(tree, jobs=1), None, settings) == expected


def test_a_table_may_say_what_no_split_of_ours_may(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    table = tmp_path / "split.csv"
    table.write_text("study_id,part\n00000,train\n00000,test\n00001,train\n00002,val\n")
    report = audit_split(cohort, table, settings, jobs=1)
    told = [one.message for one in report.findings if one.kind == "patient-on-both-sides"]
    assert told == ["Patient 00000 (study 00000) stands in train and test."]


def test_a_clean_table_has_nothing_on_both_sides(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    table = tmp_path / "split.csv"
    table.write_text("study_id,part\n00000,train\n00003,train\n00001,val\n00002,test\n")
    assert not kinds(cohort, table, settings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("patient,fold\n1,2\n", "expected name and part"),
        ("name,part\n00000,somewhere\n", "into 'somewhere'; expected train, val or test"),
        ("name,part\n", "names nobody"),
        (f"name,part\n{'x' * 200_000},train\n", "cannot be read as a table"),
        ("name,part\n99999,train\n", "names nobody of"),
    ],
)
def test_what_is_no_split_of_this_cohort_is_refused(
    cohort: Cohort, tmp_path: Path, settings: Settings, text: str, told: str
) -> None:
    table = tmp_path / "split.csv"
    table.write_text(text)
    with pytest.raises(SplitError, match=told):
        audit_split(cohort, table, settings, jobs=1)


def test_a_file_that_is_not_there_is_refused(cohort: Cohort, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(SplitError, match="cannot be read as a split"):
        audit_split(cohort, tmp_path / "none.csv", settings, jobs=1)
