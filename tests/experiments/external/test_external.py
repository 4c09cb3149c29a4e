"""A checkpoint on several cohorts: nobody twice, each kept when it is done, and a kill that loses none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.errors import ConfigError, DataError, EvaluationError, OverlapError
from core.evaluation.aggregate import log_odds
from core.evaluation.intervals import measure_auroc
from core.evaluation.meta_analysis import pool_aurocs
from core.experiments.claim_sheet import gather_claim
from core.experiments.external.parameters import ask_external, read_cohort_source
from core.experiments.external.progress import count_evaluated
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions
from core.progress import Progress
from core.runs.evaluation import read_evaluation
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.trainer import run_training
from tests.experiments.external.cohorts import SHARED, STUDIES
from tests.training.tiny import tiny_config


@pytest.fixture
def run(settings: Settings, roots: list[Path]) -> RunFolder:
    config = tiny_config("epochs=1", "batch_size=8", "slice_count=1", "sequences=FLAIR", "val_fraction=0.3")
    return run_training(settings, config, DataSource(root=str(roots[0])), name="mine")


def ask(settings: Settings, subject: Path, roots: list[Path], name: str = "outside") -> Experiment:
    return Experiment.ask(settings, name, ask_external(subject, [DataSource(root=str(root)) for root in roots]))


def test_it_is_answered_cohort_by_cohort_without_the_runs_own_patients(
    run: RunFolder, settings: Settings, roots: list[Path]
) -> None:
    experiment = ask(settings, run.checkpoint, roots[1:])
    result = run_experiment(experiment, settings, RunOptions())
    south, east = result["cohorts"]
    assert (south["name"], south["n"], south["positive"], south["overlap"]["count"]) == (
        "south",
        STUDIES,
        STUDIES // 2,
        0,
    )
    # The third cohort has as many of its own, and two of those that the run was trained on.
    assert (east["n"], east["overlap"]["count"]) == (STUDIES, SHARED)
    assert {person["in"] for person in east["overlap"]["persons"]} == {"the checkpoint's own patients"}
    assert all(
        person["reasons"] == ["equal pixels"] or "equal" in person["reasons"][0]
        for person in east["overlap"]["persons"]
    )
    assert south["looked_at"] == 1
    assert "Synthetic" not in south["notes"]
    assert result["synthetic"]
    assert "2 of 2 cohorts" in result["sentence"]
    assert "No prediction interval from fewer than 3 cohorts" in result["sentence"]

    stored = [
        read_evaluation(run, "data", path.stem.rpartition("-")[2]) for path in run.path.glob("evaluation-data-*.json")
    ]
    pooled = pool_aurocs(
        [
            measure_auroc(one.patient_labels == 1, log_odds(one.patient_logits, 1))
            for one in sorted((one for one in stored if one), key=lambda one: one.data == east["data"])
        ]
    )
    assert result["mean"] == pytest.approx(pooled.mean.to_dict())
    assert {one.patient["auroc"].value for one in stored if one} == {south["auroc"]["value"], east["auroc"]["value"]}
    assert experiment.result() == json.loads(json.dumps(result))

    sheet = gather_claim(run, settings)
    assert (
        sheet.sentence
        == f"External validation. {result['sentence']} {SHARED} persons were dropped as known already. Asked as outside."
    )
    assert {"Patients of another cohort: south", "Patients of another cohort: east"} < set(sheet.figures)
    assert result["sentence"].rstrip(".") in sheet.evidence["external"].text
    assert not any("external validation" in text for text in sheet.unchecked)
    shutil.rmtree(experiment.folder)
    low, high = sorted(one["auroc"]["value"] for one in result["cohorts"])
    assert f"between {low:.3f} and {high:.3f}" in gather_claim(run, settings).sentence


def test_a_killed_one_goes_on_with_the_next_and_what_is_done_is_kept(
    run: RunFolder, settings: Settings, roots: list[Path]
) -> None:
    experiment = ask(settings, run.checkpoint, roots[1:])
    told: list[str] = []

    class KilledError(Exception):
        """Stands for the end of the process."""

    def kill_in_the_second(title: str) -> Progress:
        def report(done: int, total: int, what: str = "") -> None:
            told.append(what)
            if "cohort 2 of 2" in what:
                raise KilledError

        return report

    with pytest.raises(KilledError):
        run_experiment(experiment, settings, RunOptions(), Display(progress=kill_in_the_second))
    assert count_evaluated(experiment) == (1, 2, "east")
    assert experiment.status().state == "stopped"
    first = json.loads((experiment.folder / "cohorts" / "01.json").read_text())
    result = run_experiment(experiment, settings, RunOptions())
    assert result["cohorts"][0] == first, "what was evaluated is read, and not evaluated again"
    assert result["cohorts"][0]["looked_at"] == 1
    assert count_evaluated(experiment)[0] == 2


def test_a_stop_file_ends_it_between_two_steps(run: RunFolder, settings: Settings, roots: list[Path]) -> None:
    experiment = ask(settings, run.checkpoint, roots[1:])
    experiment.stop()
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, settings, RunOptions())


def test_a_cohort_that_changed_is_evaluated_again(
    run: RunFolder, settings: Settings, roots: list[Path], tmp_path: Path
) -> None:
    first = run_experiment(ask(settings, run.checkpoint, roots[1:2]), settings, RunOptions())
    labels = roots[1] / "train_labels.csv"
    before = labels.read_text()
    lines = before.splitlines()
    try:
        labels.write_text("\n".join(lines[:-1]) + "\n")
        second = run_experiment(ask(settings, run.checkpoint, roots[1:2]), settings, RunOptions())
    finally:
        labels.write_text(before)
    assert (first["cohorts"][0]["n"], second["cohorts"][0]["n"]) == (STUDIES, STUDIES - 1)


def test_a_checkpoint_that_came_alone_says_that_its_patients_are_not_known(
    run: RunFolder, settings: Settings, roots: list[Path], tmp_path: Path
) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(run.checkpoint.read_bytes())
    result = run_experiment(ask(settings, alone, roots[1:]), settings, RunOptions())
    south, east = result["cohorts"]
    assert result["subject"]["run"] == ""
    assert "the file says nothing of them" in south["overlap"]["unchecked"][0]
    assert east["n"] == STUDIES + SHARED
    with pytest.raises(EvaluationError, match="was trained on"):
        run_experiment(ask(settings, alone, roots[:1], "own"), settings, RunOptions())
    alone.write_bytes(run.checkpoint.read_bytes() + b" ")
    with pytest.raises(DataError, match="no longer the file"):
        run_experiment(ask_again(settings, "outside"), settings, RunOptions())


def ask_again(settings: Settings, name: str) -> Experiment:
    return Experiment(settings.experiments / name)


def test_of_a_person_in_two_cohorts_the_first_keeps_it(
    run: RunFolder, settings: Settings, roots: list[Path], tmp_path: Path
) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(run.checkpoint.read_bytes())
    copy = tmp_path / "copy" / "south-again"
    shutil.copytree(roots[1], copy)
    with pytest.raises(OverlapError, match=f"All {STUDIES} persons"):
        run_experiment(ask(settings, alone, [roots[1], copy], "twice"), settings, RunOptions())
    assert count_evaluated(ask_again(settings, "twice"))[0] == 1, "the one before it is kept"


def test_cohorts_are_named_once_and_a_file_may_say_how_one_is_read(
    run: RunFolder, roots: list[Path], tmp_path: Path
) -> None:
    same = [DataSource(root=str(roots[1])), DataSource(root=str(roots[1] / "."))]
    with pytest.raises(ConfigError, match="named twice"):
        ask_external(run.checkpoint, same)
    with pytest.raises(ConfigError, match="1 to 50 cohorts"):
        ask_external(run.checkpoint, [])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"root": str(roots[1]), "labels": "labels.csv", "target": "IDH"}))
    source = read_cohort_source(str(file), {"target": "MGMT", "session": "last"})
    assert (source.root, source.target, source.session) == (str(roots[1]), "IDH", "last")
    assert source.labels == str(tmp_path / "labels.csv")
    file.write_text('{"folder": "/data"}')
    with pytest.raises(DataError, match="does not know folder"):
        read_cohort_source(str(file), {})
    file.write_text('{"labels": "x.csv"}')
    with pytest.raises(DataError, match="Field required"):
        read_cohort_source(str(file), {})
    with pytest.raises(DataError, match="no folder"):
        read_cohort_source(str(tmp_path / "nowhere"), {})
