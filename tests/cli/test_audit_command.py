"""audit, from the command line."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from core.data.cohort import scan_cohort
from tests.cli.commands import Command


def test_audit_gives_findings_and_exits_well(command: Command, cohort: Path, tmp_path: Path) -> None:
    table = tmp_path / "out" / "findings.csv"
    result = command("audit", cohort, "--csv", table, "--jobs", 1, "--json")
    assert result.status == 0
    assert {finding["kind"] for finding in result.json["findings"]} <= {"blank-slices", "mixed-planes", "file-order"}
    assert all({"kind", "severity", "where", "remedy"} <= finding.keys() for finding in result.json["findings"])
    assert result.json["counted"]["series"] == 32
    assert result.json["synthetic"] is True
    with table.open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == [one["kind"] for one in result.json["findings"]]


def test_audit_for_a_person(command: Command, cohort: Path) -> None:
    result = command("audit", cohort, "--jobs", 1)
    assert result.status == 0
    assert "checked: 8 studies" in result.stdout
    assert "0 errors, 0 warnings" in result.stdout
    assert "NOTE  File numbers are not the spatial order" in result.stdout


def test_audit_of_a_split(command: Command, cohort: Path, home_with_run: Path) -> None:
    result = command("audit", cohort, "--split", "tiny", "--jobs", 1, "--json")
    assert result.status == 0
    assert result.json["counted"]["series in the split"] == 32
    assert not [finding for finding in result.json["findings"] if finding["kind"].endswith("both-sides")]


def test_audit_of_a_split_that_was_written_down(
    command: Command, cohort: Path, home_with_run: Path, tmp_path: Path
) -> None:
    studies = [study.study_id for study in scan_cohort(cohort, jobs=1)]
    table = tmp_path / "split.csv"
    table.write_text("name,part\n" + "".join(f"{one},train\n{one},test\n" for one in studies))
    result = command("audit", cohort, "--split", table, "--jobs", 1, "--json")
    torn = [one for one in result.json["findings"] if one["kind"] == "patient-on-both-sides"]
    assert len(torn) == len(studies)
    table.write_text("patient\n1\n")
    command("audit", cohort, "--split", table).assert_refused("expected name and part")


def test_a_split_that_is_not_there_is_one_line(command: Command, cohort: Path) -> None:
    command("audit", cohort, "--split", "nowhere").assert_refused("nowhere")


def test_audit_of_two_cohorts_names_who_is_in_both(command: Command, cohort: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cohort, copy)
    gone = sorted((copy / "train").iterdir())[0]
    shutil.rmtree(gone)
    result = command("audit", cohort, copy, "--jobs", 1, "--json")
    assert result.status == 0
    found = [one for one in result.json["findings"] if one["kind"] == "person-in-two-cohorts"]
    assert len(found) == 7
    assert all(place.startswith((f"{cohort.name}/", "copy/")) for one in found for place in one["where"])
    overlap = result.json["overlap"][0]
    assert (overlap["certain"], overlap["probable"], overlap["compared"]) == (7, 0, {"persons": 7, "with": 8})
    assert all(one["certain"] and "equal UIDs" in one["reasons"] for one in overlap["persons"])
    assert result.json["roots"] == [str(cohort), str(copy)]


def test_a_crosswalk_needs_two_cohorts(command: Command, cohort: Path, tmp_path: Path) -> None:
    command("audit", cohort, "--crosswalk", tmp_path / "x.csv").assert_refused("--crosswalk is about persons of two")
    (tmp_path / "x.csv").write_text("id,patient_id\nq1,q2\n")
    command("audit", cohort, cohort, "--crosswalk", tmp_path / "x.csv", "--jobs", 1).assert_refused("names nobody of")
