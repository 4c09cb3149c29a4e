"""power: the numbers that FIELD's arithmetic gives."""

from __future__ import annotations

import pytest

from tests.cli.commands import Command


def test_power_of_one_hold_out(command: Command) -> None:
    content = command("power", "0.6", "--patients", "117", "--json").json
    assert content["power_of_these"] == pytest.approx(0.46, abs=0.01)
    assert content["patients_needed"] == 260
    assert "260 patients tell 0.6 from 0.5 with 80% power." in command("power", "0.6").stdout


def test_the_recommended_design_and_what_it_takes_to_develop_and_validate(command: Command) -> None:
    content = command("power", "0.594", "--patients", "585", "--design", "folds", "--parameters", "5", "--json").json
    assert content["power_of_these"] == pytest.approx(0.80, abs=0.02)
    assert set(content["development"]) == {"shrinkage", "optimism", "risk"}
    assert content["validation"]["auroc"] > 400
    said = command("power", "0.7").stdout
    assert "To develop a regression of 10 coefficients (Riley 2020): 696 patients" in said
    assert "calibration slope 896" in said
    assert "development" not in command("power", "0.4", "--json").json


def test_two_models_on_the_same_patients(command: Command) -> None:
    result = command("power", "0.7", "--against", "0.62", "--design", "paired", "--correlation", "0.8", "--json").json
    assert result["patients_needed"] < command("power", "0.7", "--against", "0.62", "--json").json["patients_needed"]
    assert command("power", "0.6", "--against", "0.6", "--json").json["patients_needed"] is None


def test_what_cannot_be_planned_is_one_line(command: Command) -> None:
    command("power", "1.2").assert_refused("between 0 and 1")
    command("power", "0.6", "--power", "2").assert_refused("--power")
    command("power", "0.6", "--patients", "3").assert_refused("too few")


def test_the_design_is_named_beside_the_other_ones_figure(command: Command) -> None:
    folds = command("power", "0.6", "--design", "folds", "--json").json
    needed = folds["patients_needed"]
    assert folds["other_design"] == {"design": "known", "patients_needed": 260}
    said = command("power", "0.6").stdout
    line = f"Design: one model against a fixed value. With --design folds (cross-validation over all patients, against a fixed value): {needed}"
    assert line in said
    assert "With --design unpaired" in command("power", "0.7", "--against", "0.62", "--design", "paired").stdout
