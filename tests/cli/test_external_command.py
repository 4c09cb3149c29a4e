"""external and leave-one-cohort-out: answered, written, resumed, and refused in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.cli.commands import TINY, Command

SMALL = (
    *TINY, "--set", "epochs=1", "--set", "size_px=32", "--set", "slice_count=1", "--set", "sequences=FLAIR",
    "--set", "val_fraction=0.3",
)  # fmt: skip


def test_a_run_is_evaluated_on_cohorts_and_the_result_is_written(
    command: Command, home_with_run: Path, cohort: Path, patients: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = command("external", "tiny", patients, "--out", out, "--json")
    assert found.status == 0, found.stderr
    (one,) = found.json["cohorts"]
    assert (one["name"], one["n"], one["positive"]) == ("cohort", 12, 6)
    for name in ("auroc", "brier", "observed_expected", "intercept", "slope"):
        assert {"value", "low", "high", "n"} <= set(one[name])
    assert one["overlap"]["count"] == 0
    assert found.json["mean"]["value"] is None
    assert "two of them" in found.json["mean"]["reason"]
    assert json.loads((out / "external.json").read_text()) == found.json
    (row,) = csv.DictReader((out / "external.csv").read_text().splitlines())
    assert (row["cohort"], row["n"], float(row["auroc_value"])) == ("cohort", "12", one["auroc"]["value"])
    assert "Several cohorts" in (out / "external.html").read_text()
    again = command("external", "tiny", patients)
    assert "O:E" in again.stdout
    assert command("external", "tiny", patients, "--json").json["cohorts"][0]["looked_at"] == one["looked_at"]
    command("external", "tiny", cohort, "--name", "own").assert_refused("was trained on")
    command("external", "tiny", patients, patients).assert_refused("named twice")
    command("external", "tiny", "nowhere").assert_refused("no folder nowhere")
    command("external", "nobody", patients).assert_refused("no checkpoint 'nobody'")


def test_each_of_two_cohorts_is_left_out_in_turn(command: Command, home: Path, cohort: Path, patients: Path) -> None:
    found = command("leave-one-cohort-out", cohort, patients, *SMALL, "--json")
    assert found.status == 0, found.stderr
    assert [(one["name"], one["n"], one["trained_on"]) for one in found.json["cohorts"]] == [
        ("cohort", 12, 8),
        ("tiny", 8, 12),
    ]
    assert found.json["mean"]["n"] == 2
    assert found.json["prediction_interval"]["low"] is None
    text = command("leave-one-cohort-out", cohort, patients, *SMALL).stdout
    assert "No prediction interval from fewer than 3 cohorts" in text
    assert "never saw it" in text
    command("leave-one-cohort-out", cohort, *SMALL, "--name", "one").assert_refused("2 to 50 cohorts")
    command("leave-one-cohort-out", patients, *SMALL, "--by", "site", "--name", "s").assert_refused("not stated 12")
