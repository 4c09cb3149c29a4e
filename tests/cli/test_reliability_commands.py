"""calibration and thresholds, on validation patients first and on test patients once they were looked at."""

from __future__ import annotations

from pathlib import Path

from core.runs.folder import find_run
from core.runs.ledger import list_evaluations
from core.settings import load_settings
from tests.cli.commands import Command


def test_calibration_speaks_of_the_patients_that_were_looked_at(command: Command, home_with_run: Path) -> None:
    first = command("calibration", "tiny", "--json").json
    assert (first["part"], first["n"]) == ("val", 2)
    assert {row["low"] for row in first["as_people_receive_it"]} == {None}  # these patients chose the epoch
    assert {one["low"] for one in first["sets"]["coverage"].values()} == {None}
    assert list_evaluations(find_run("tiny", load_settings()).split().test_digest, load_settings()) == []
    command("evaluate", "tiny")
    then = command("calibration", "tiny", "--level", "0.8", "--json").json
    assert then["part"] == "test"
    assert then["sets"]["level"] == 0.8
    assert all(row["low"] is not None for row in then["as_people_receive_it"])
    assert sum(row["n"] for row in then["with_temperature"]) == then["n"]
    assert set(then["sets"]["coverage"]) == {"unmethylated", "methylated"}
    assert "cannot tell" in command("calibration", "tiny").stdout


def test_thresholds_hold_the_stored_one_and_its_shares(command: Command, home_with_run: Path) -> None:
    content = command("thresholds", "tiny", "--json").json
    chosen = [row for row in content["thresholds"] if row["threshold"] == content["chosen_on_validation"]]
    assert len(chosen) == 1
    assert chosen[0]["sensitivity"]["n"] == 1
    for name in ("net_benefit", "sensitivity"):  # validation patients chose the threshold
        assert (chosen[0][name]["low"], chosen[0][name]["high"]) == (None, None)
    assert "net benefit" in command("thresholds", "tiny").stdout


def test_what_cannot_be_shown_is_one_line(command: Command, home_with_run: Path) -> None:
    command("calibration", "tiny", "--level", "2").assert_refused("level of 2")
    command("thresholds", "nobody").assert_refused("nobody")
