"""referee and baselines: what scripts read."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import Command
from tests.experiments.referee.tables import draw_table


def test_the_keys_that_scripts_read(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    draw_table(parts=True).to_csv(path, index=False)
    found = command(
        "referee", str(path), "--label-error", "0.05", "--tried", "5", "--out", str(tmp_path / "out"), "--json"
    ).json
    assert {"discrimination", "calibration", "net_benefit", "subgroups", "comparison", "baselines", "leaks", "findings",
            "sample_size", "label_error", "selection", "missing", "parts", "cannot_be_seen", "sentence"} <= set(found)  # fmt: skip
    assert (found["judged"], found["n"]) == ("test", 150)
    assert json.loads((tmp_path / "out" / "referee.json").read_text()) == found
    assert "<script" not in (tmp_path / "out" / "referee.html").read_text()
    assert "cannot be seen here" in command("referee", str(path)).stdout


def test_what_cannot_be_read_is_one_line(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    command("referee", str(path)).assert_refused("cannot be read")
    path.write_text("name,value\na,1\n")
    command("referee", str(path)).assert_refused("expected id, label and probability")
    draw_table(40).to_csv(path, index=False)
    command("referee", str(path), "--label-error", "0.9", "0.9", "0.9").assert_refused("--label-error")
    command("baselines", str(path)).assert_refused("no covariate")


def test_baselines_of_a_table_without_predictions(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    table = draw_table(60).drop(columns="probability").rename(columns={"id": "participant_id", "label": "MGMT"})
    table.assign(sex=["M", "F", "F"] * 20).to_csv(path, index=False, sep="\t")
    found = command("baselines", str(path), "--repeats", "1", "--json").json
    assert found["baselines"][0]["name"] == "sex"
    assert found["baselines"][0]["auroc"]["n"] == 60


def test_baselines_of_a_cohort_read_its_headers(command: Command, tmp_path: Path) -> None:
    folder = str(tmp_path / "cohort")
    assert command("phantom", folder, "--studies", "24", "--slices", "4", "--size", "32", "--shortcut").status == 0
    found = command("baselines", folder, "--repeats", "1", "--json").json
    areas = {one["name"]: one["auroc"]["value"] for one in found["baselines"]}
    assert found["n"] == 24
    assert areas["headers"] > 0.9
