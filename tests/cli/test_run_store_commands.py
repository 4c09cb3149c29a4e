"""runs compare, tag and delete; the filters of runs list."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import Command


@pytest.fixture
def two_runs(home_with_run: Path) -> Path:
    """The finished run, and the same under another name."""
    runs = home_with_run / "runs"
    shutil.copytree(runs / "tiny", runs / "again")
    return runs


def test_runs_are_compared_and_written(command: Command, two_runs: Path, tmp_path: Path) -> None:
    page, sheet = tmp_path / "out" / "c.html", tmp_path / "c.csv"
    found = command("runs", "compare", "tiny", "again", "--html", page, "--csv", sheet, "--json").json
    assert [run["name"] for run in found["runs"]] == ["tiny", "again"]
    assert (found["part"], found["reference"]) == ("val", "tiny")
    assert found["settings"] == []
    assert found["written"] == [str(page), str(sheet)]
    assert page.read_text().startswith("<!doctype html>")
    with sheet.open() as stream:
        assert {row["kind"] for row in csv.DictReader(stream)} >= {"figure", "difference", "epoch"}
    text = command("runs", "compare", "again", "tiny", "--reference", "tiny").stdout
    assert "again less tiny" in text
    assert "They differ in nothing that was recorded." in text


def test_test_patients_are_not_opened_by_a_comparison(command: Command, two_runs: Path) -> None:
    command("runs", "compare", "tiny", "again", "--part", "test").assert_refused("not been evaluated", "evaluate tiny")
    assert not (two_runs / "test_looks.jsonl").exists()
    for name in ("tiny", "again"):
        assert command("evaluate", name, "--json").status == 0
    looks = (two_runs / "test_looks.jsonl").read_bytes()
    found = command("runs", "compare", "tiny", "again", "--part", "test", "--json").json
    assert found["part"] == "test"
    assert "evaluated 2 times" in found["notes"][1]
    assert (two_runs / "test_looks.jsonl").read_bytes() == looks


def test_a_comparison_that_cannot_be_made_is_one_line(command: Command, two_runs: Path) -> None:
    command("runs", "compare", "tiny").assert_refused("2 to 12")
    command("runs", "compare", "tiny", "tiny").assert_refused("tiny is named twice")
    command("runs", "compare", "tiny", "none").assert_refused("no run 'none'")
    command("runs", "compare", "tiny", "again", "--reference", "none").assert_refused("no run 'none'")
    command("runs", "compare").assert_refused("RUN")


def test_tags_are_changed_and_found(command: Command, two_runs: Path) -> None:
    assert command("runs", "tag", "tiny", "--add", "keep", "--add", "seed 1", "--json").json["tags"] == [
        "keep",
        "seed 1",
    ]
    assert "keep, seed 1" in command("runs", "tag", "tiny").stdout
    assert command("runs", "tag", "tiny", "--remove", "seed 1", "--json").json["tags"] == ["keep"]
    command("runs", "tag", "tiny", "--add", "a,b").assert_refused("cannot be a tag")
    assert [run["name"] for run in command("runs", "list", "--tag", "keep", "--json").json["runs"]] == ["tiny"]
    assert command("runs", "--json", "list", "--text", "agai").json["runs"][0]["name"] == "again"
    assert len(command("runs", "list", "--state", "finished", "--preset", "honest", "--json").json["runs"]) == 2
    assert "None of the 2 runs is so" in command("runs", "list", "--preset", "paper").stdout
    assert "tags: keep" in command("runs", "show", "tiny").stdout


def test_runs_are_deleted_for_good_and_only_when_it_is_said(command: Command, two_runs: Path) -> None:
    command("runs", "delete", "again").assert_refused("again", "--yes")
    command("runs", "delete", "again", "none", "--yes").assert_refused("no run 'none'")
    assert (two_runs / "again").exists()
    assert command("runs", "delete", "again", "--yes", "--json").json == {"deleted": ["again"]}
    assert not (two_runs / "again").exists()
    assert (two_runs / "tiny").exists()


def test_a_run_is_exported_imported_and_judged_where_its_data_is_named(
    command: Command, home_with_run: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "tiny.zip"
    written = command("export", "run", "tiny", "--out", archive, "--json").json
    assert "best.safetensors" in written["manifest"]["files"]
    assert "resume.pt" not in written["manifest"]["files"]
    command("export", "run", "tiny", "--out", archive).assert_refused("exists")
    monkeypatch.setenv("MGMT_LAB_HOME", str(tmp_path / "elsewhere"))
    taken = command("runs", "import", archive, "--json").json
    assert (taken["name"], taken["state"]) == ("tiny", "finished")
    assert command("runs", "import", archive, "--name", "again", "--json").json["name"] == "again"
    assert command("runs", "compare", "tiny", "again", "--json").json["differences"][0]["shared_patients"] == 2
    command("evaluate", "tiny").assert_refused("runs data RUN DATA")
    (tmp_path / "empty").mkdir()
    command("runs", "data", "tiny", tmp_path / "empty").assert_refused("empty")
    assert command("runs", "data", "tiny", cohort, "--json").json["data"]["root"] == str(cohort)
    assert command("evaluate", "tiny", "--json").json["part"] == "test"
    command("runs", "import", tmp_path / "none.zip").assert_refused("There is no file")
