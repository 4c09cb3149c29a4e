"""export report: the claim sheet of a run, as a page and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import Command


def test_a_claim_sheet_is_written_before_and_after_anybody_looked(
    command: Command, home_with_run: Path, tmp_path: Path
) -> None:
    page = tmp_path / "claim.html"
    before = command("export", "report", "tiny", "--out", page, "--json").json
    assert before["sentence"].startswith("Nothing may be claimed yet")
    assert before["looks"] == 0
    assert page.read_text().startswith("<!doctype html>")
    filled = tmp_path / "filled.json"
    filled.write_text('{"claim_2024": {"5": "retrospective"}}')
    command("evaluate", "tiny")
    command("export", "report", "tiny", "--out", page, "--answers", filled)
    after = command("export", "report", "tiny", "--out", page, "--audit", "--json").json
    assert after["looks"] == 1
    assert "An audit of every image found no duplicates across the parts." in after["leakage"]
    assert json.loads(page.with_suffix(".json").read_text())["answers"]["claim_2024"]["5"] == "retrospective"
    assert after["checklists"]["claim_2024"]["shown here"] > before["checklists"]["claim_2024"]["shown here"]
    assert "by what is shown here" in after["checklists"]["metrics"]["score"]
    assert after["controls"]["permutation"] is None
    assert after["controls"]["shortcuts"] is None
    assert "at least 6 patients of each class" in page.read_text()
    assert "The cohort is synthetic" in page.read_text()


def test_a_run_that_is_not_there_is_one_line(command: Command, tmp_path: Path) -> None:
    command("export", "report", "nobody", "--out", tmp_path / "x.html").assert_refused("nobody")
