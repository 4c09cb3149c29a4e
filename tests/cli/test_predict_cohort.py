"""predict --csv, and the process that the Predict page starts for the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cli.scans import cohort as cohort_command
from core.inference.batch import read_predictions
from core.jobs.experiment import PREDICTIONS_ENTRY, Experiment
from core.jobs.predictions import TABLE, ask_predictions, cohort_source, read_progress
from core.settings import PROJECT_ROOT, load_settings
from tests.cli.commands import Command


@pytest.fixture(autouse=True)
def _home(home_with_run: Path) -> Iterator[None]:
    return


def test_a_folder_becomes_a_table_and_is_resumed(command: Command, cohort: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    first = command("predict", "tiny", cohort, "--csv", table, "--json").json
    assert (first["csv"], len(first["studies"]), first["taken_over"], first["failed"]) == (str(table), 8, 0, [])
    assert 0 <= first["studies"][0]["probability"] <= 1
    assert first["studies"][0]["abstained"] is False
    assert first["checkpoint"]["name"] == "tiny"
    again = command("predict", "tiny", cohort, "--csv", table)
    assert "8 studies (8 taken over): 8 answered, 0 abstained, 0 could not be predicted." in again.stdout
    assert command("predict", "tiny", cohort, "--csv", table, "--json").json["studies"] == first["studies"]


def test_what_a_person_can_get_wrong(command: Command, cohort: Path, study: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    command("predict", "tiny", cohort, study, "--csv", table).assert_refused("one folder")
    command("predict", "tiny", cohort, "--from", "raw", "--csv", table).assert_refused("prepare DATA --from raw")
    command("predict", "tiny", tmp_path / "none", "--csv", table).assert_refused("one folder")
    (tmp_path / "empty").mkdir()
    command("predict", "tiny", tmp_path / "empty", "--csv", table).assert_refused("empty")
    command("predict", "demo-synthetic", cohort, "--csv", tmp_path / "a" / "b.csv")
    command("predict", "tiny", cohort, "--csv", tmp_path / "a" / "b.csv").assert_refused("another checkpoint")


def ask(home: Path, cohort: Path) -> Experiment:
    question = ask_predictions(home / "runs" / "tiny" / "best.safetensors", cohort_source(str(cohort)))
    return Experiment.ask(load_settings(), "predictions-01", question)


def test_the_process_of_the_page_answers_stops_and_resumes(home_with_run: Path, cohort: Path) -> None:
    experiment = ask(home_with_run, cohort)
    experiment.stop()
    assert cohort_command.main([str(experiment.folder)]) == 0
    assert (experiment.status().state, read_progress(experiment)) == ("stopped", (0, 8))
    experiment = ask(home_with_run, cohort)
    assert cohort_command.main([str(experiment.folder)]) == 0
    assert (experiment.status().state, read_progress(experiment)) == ("finished", (8, 8))
    assert len(read_predictions(experiment.folder / TABLE)) == 8
    assert experiment.result() is not None


def test_a_checkpoint_that_was_trained_again_is_another_question(
    home_with_run: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = ask(home_with_run, cohort)
    checkpoint = home_with_run / "runs" / "tiny" / "best.safetensors"
    content = checkpoint.read_bytes()
    checkpoint.unlink()
    checkpoint.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert cohort_command.main([str(experiment.folder)]) == 2
    assert "another checkpoint" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_process_loses_nothing(home_with_run: Path, cohort: Path) -> None:
    experiment = ask(home_with_run, cohort)
    table = experiment.folder / TABLE
    process = subprocess.Popen(
        [sys.executable, "-m", PREDICTIONS_ENTRY, str(experiment.folder)],
        cwd=PROJECT_ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (table.exists() and len(read_predictions(table)) >= 2) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = read_predictions(table)
    assert 2 <= len(before) <= 8
    assert cohort_command.main([str(experiment.folder)]) == 0
    after = read_predictions(table)
    assert len(after) == 8
    assert [row for row in after if row in before] == before
