"""A search from its first trial to its last: one split, real pruning, nothing lost, and one look at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from core.config import RunConfig
from core.errors import ConfigError, RunError, StorageError
from core.evaluation.figure import Figure, estimand_of
from core.evaluation.selection import CORRECTED
from core.experiments.run import run_experiment
from core.experiments.search import trial as search_trial
from core.experiments.search.result import TrialRow, correct_best, rank_trial, read_result, read_search_status
from core.experiments.search.run_search import evaluate_best
from core.experiments.search.search import KIND, Search, SearchParameters, ask_search, find_search, open_search
from core.experiments.search.worker import FAILURES, run_worker
from core.jobs.experiment import Display, Experiment, RunOptions, list_experiments
from core.jobs.member import Member
from core.models.registry import ARCHITECTURES
from core.phantom.config import PhantomConfig
from core.runs.folder import RunFolder, list_runs
from core.runs.ledger import count_evaluations
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings
from tests.phantoms import copy_phantom
from tests.training.tiny import TINY_NETWORK, tiny_config

CONFIG = tiny_config("epochs=3", "test_fraction=0.2", "val_fraction=0.3", "batch_size=16")
SPACE = ("learning_rate=1e-5..1e-2:log", "optimiser=sgd,adamw")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that trains in milliseconds."""
    monkeypatch.setitem(ARCHITECTURES, TINY_NETWORK.name, TINY_NETWORK)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Sixteen synthetic patients."""
    root = tmp_path_factory.mktemp("cohort") / "phantom"
    copy_phantom(root, PhantomConfig(studies=16, slices=4, size=32, signal=3.0))
    return DataSource(root=str(root))


def begin(settings: Settings, source: DataSource, config: RunConfig = CONFIG, **changes: Any) -> Search:
    return open_search(ask(settings, source, config, **changes), settings)


def ask(
    settings: Settings,
    source: DataSource,
    config: RunConfig = CONFIG,
    *,
    name: str = "mine",
    storage: str = "",
    **changes: Any,
) -> Experiment:
    parameters = SearchParameters(**{"space": SPACE, "sampler": "random", "pruner": "none", **changes})
    return Experiment.ask(settings, name, ask_search(name, config, source, parameters, storage=storage))


def conduct(search: Search, settings: Settings, trials: int, **told: Any) -> dict[str, Any]:
    experiment = Experiment.ask(settings, search.name, search.question)
    return run_experiment(experiment, settings, RunOptions(count=trials), Display(**told))


def test_trials_are_runs_on_one_split_and_the_test_patients_stand_in_none(
    settings: Settings, source: DataSource
) -> None:
    search = begin(settings, source)
    ended: list[tuple[int, str]] = []
    conduct(search, settings, 3, on_trial=lambda number, how: ended.append((number, how)))
    assert ended == [(0, "finished"), (1, "finished"), (2, "finished")]
    runs = [entry.run for entry in list_runs(settings)]
    assert {run.name for run in runs} == {"mine-000", "mine-001", "mine-002"}
    assert {run.split() for run in runs} == {search.split}
    test = set(search.split.test)
    assert test
    for run in runs:
        assert not test & set(run.predictions()["person"])
    result = read_result(search, settings)
    for row in result.trials:
        config = RunFolder(settings.runs / row.run).config
        assert config.optimiser.learning_rate == row.settings["learning_rate"]
        assert config.optimiser.optimiser == row.settings["optimiser"]
        best = max(record.val_patient_auroc or 0 for record in RunFolder(settings.runs / row.run).epochs())
        assert row.value == best == row.auroc.value  # type: ignore[union-attr]
        assert row.auroc.n == len(search.split.val)  # type: ignore[union-attr]
    assert result.best is not None
    assert result.best == max(result.trials, key=lambda row: (row.value, -(row.loss or 0), -row.number))
    assert result.best.loss == next(
        one.val_loss for one in reversed(RunFolder(settings.runs / result.best.run).epochs()) if one.best
    )
    tied = [replace(row, value=0.5, loss=loss) for row, loss in zip(result.trials, (None, 0.6, 0.5), strict=True)]
    assert [row.number for row in sorted(tied, key=lambda row: rank_trial(row, smallest=False))] == [2, 1, 0]
    assert result.noise is not None
    assert result.noise.compared == 3
    assert 0 < result.noise.alike < result.noise.independent
    assert result.looked_at == 0
    assert [found.name for found in list_experiments(settings, KIND)] == ["mine"]
    assert search.experiment.result() == {**result.to_dict(), "estimand": estimand_of(KIND)}
    assert find_search(settings, "mine") == search
    json.dumps(result.to_dict(), allow_nan=False)
    conduct(search, settings, 3)
    assert len(list_runs(settings)) == 3
    assert read_search_status(search, result).state == "finished"
    search.experiment.write_options(RunOptions(count=4))
    assert read_search_status(search, read_result(search, settings)).state == "stopped"


def test_a_best_trial_whose_runs_are_elsewhere_has_no_interval(settings: Settings) -> None:
    alone = Figure(value=0.8, low=0.6, high=0.9, n=40, method=CORRECTED)  # for the choice of its epoch alone
    row = TrialRow(
        number=0, state="finished", settings={}, value=0.8, epochs=3, best_epoch=1, auroc=alone, run="gone", reason=""
    )
    figure = correct_best(row, [row], settings)
    assert figure is not None
    assert (figure.value, figure.low, figure.high, figure.n) == (0.8, None, None, 40)


def test_a_trial_below_the_median_is_ended_early(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = {number: 0.9 - 0.1 * (number >= 4) * number for number in range(6)}
    trained: dict[str, int] = {}

    def made_up(record: EpochRecord, config: RunConfig) -> float:
        return curves[len(trained) - 1]

    monkeypatch.setattr(search_trial, "value_of", made_up)
    search = begin(settings, source, pruner="median")
    original = search_trial.train_member

    def count(member: Member, *arguments: Any, **options: Any) -> Any:
        trained[member.run.name] = 0
        status = original(member, *arguments, **options)
        trained[member.run.name] = len(member.run.epochs())
        return status

    monkeypatch.setattr(search_trial, "train_member", count)
    run_worker(search, settings, trials=6)
    assert list(trained.values()) == [3, 3, 3, 3, 1, 1]
    result = read_result(search, settings)
    assert [row.state for row in result.trials] == ["finished"] * 4 + ["pruned"] * 2
    assert [row.value for row in result.trials[4:]] == [pytest.approx(0.5), pytest.approx(0.4)]
    pruned = RunFolder(settings.runs / "mine-004")
    assert pruned.status().state == "stopped"
    assert "Pruned after epoch 1" in pruned.status().message
    assert pruned.checkpoint.exists()
    assert not pruned.resume_file.exists()
    assert result.best is not None
    assert result.best.number < 4  # all four are equal; the lowest loss is taken
    assert result.noise is not None
    assert result.noise.compared == 6


def test_a_stopped_trial_is_resumed(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source)
    seen: list[int] = []

    def stop_in_the_second(record: EpochRecord) -> None:
        seen.append(record.epoch)
        if len(seen) == 4:
            search.experiment.stop()

    with pytest.raises(KeyboardInterrupt):
        run_worker(search, settings, trials=2, display=Display(on_epoch=stop_in_the_second))
    result = read_result(search, settings)
    assert [row.state for row in result.trials] == ["finished", "waiting"]
    with pytest.raises(KeyboardInterrupt):
        run_worker(search, settings, trials=2)
    conduct(search, settings, 2, on_epoch=lambda record: seen.append(record.epoch))
    assert seen == [1, 2, 3, 1, 2, 3]
    result = read_result(search, settings)
    assert [(row.state, row.run, row.epochs) for row in result.trials] == [
        ("finished", "mine-000", 3),
        ("finished", "mine-001", 3),
    ]


class Killed(BaseException):
    """Stands for the end of the process: nobody gets to tidy up."""


def test_a_killed_trial_is_taken_up_again(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = begin(settings, source)

    def die(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("core.experiments.search.worker.release_trial", lambda *arguments: None)
        with pytest.raises(Killed):
            run_worker(search, settings, trials=1, display=Display(on_epoch=die))
    assert [trial.state.name for trial in search.open_study().trials] == ["RUNNING"]
    seen: list[int] = []
    run_worker(search, settings, trials=1, display=Display(on_epoch=lambda record: seen.append(record.epoch)))
    assert seen == [3]
    (row,) = read_result(search, settings).trials
    assert (row.state, row.run, row.epochs) == ("finished", "mine-000", 3)


def test_what_does_not_fit_together_is_a_failed_trial_with_its_reason(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source, space=("form=slice,volume", "learning_rate=1e-4..1e-2:log"))
    failed: list[int] = []
    run_worker(
        search,
        settings,
        trials=4,
        display=Display(on_trial=lambda number, how: failed.append(number) if how == "failed" else None),
    )
    rows = read_result(search, settings).trials
    assert failed
    assert len(rows) == 4
    for row in rows:
        assert (row.state == "failed") == (row.settings["form"] == "volume")
        assert ("tiny" in row.reason.lower()) == (row.state == "failed")


def test_a_fault_that_is_nobodys_configuration_ends_the_search(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source, config=CONFIG.model_copy(update={"architecture": "nothing"}))
    with pytest.raises(ConfigError, match="nothing"):
        run_worker(search, settings, trials=10)
    assert len(read_result(search, settings).trials) == FAILURES


def test_a_run_of_that_name_is_not_touched(settings: Settings, source: DataSource) -> None:
    RunFolder.create(settings, CONFIG, source, "mine-000", state="stopped")
    search = begin(settings, source)
    run_worker(search, settings, trials=1)
    (row,) = read_result(search, settings).trials
    assert row.state == "failed"


def test_the_test_patients_are_looked_at_once(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source)
    run_worker(search, settings, trials=1)
    evaluation, looked = evaluate_best(search, settings)
    assert looked
    again, looked = evaluate_best(search, settings)
    assert not looked
    assert again.to_dict() == evaluation.to_dict()
    assert count_evaluations(search.split.test_digest, settings) == 1
    result = read_result(search, settings)
    assert result.looked_at == 1
    assert result.evaluation is not None
    assert result.evaluation["patient"]["auroc"]["n"] == len(search.split.test)


def test_nothing_is_judged_before_a_trial_has_finished(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source)
    with pytest.raises(RunError, match="nothing to evaluate"):
        evaluate_best(search, settings)
    with pytest.raises(RunError, match="there are: mine"):
        find_search(settings, "yours")


def test_another_question_needs_another_name(settings: Settings, source: DataSource) -> None:
    begin(settings, source)
    begin(settings, source)
    with pytest.raises(ConfigError, match="--name"):
        begin(settings, source, space=("learning_rate=1e-5..1e-3:log",))
    with pytest.raises(ConfigError, match="--name"):
        begin(settings, source, config=CONFIG.model_copy(update={"epochs": 4}))
    with pytest.raises(ConfigError, match="split_unit=patient"):
        ask(settings, source, tiny_config("split_unit=slice"))
    with pytest.raises(ConfigError, match="cannot name"):
        ask(settings, source, name="../x")


def test_hosts_that_share_a_database_search_the_same_thing(
    settings: Settings, source: DataSource, tmp_path: Path
) -> None:
    from core.settings import load_settings

    url = f"sqlite:///{tmp_path}/shared.db"
    other = load_settings({"MGMT_LAB_HOME": str(tmp_path / "other"), "MGMT_LAB_THREADS": "1"})
    here = open_search(ask(settings, source, storage=url), settings)
    there = open_search(ask(other, source, storage=url), other)
    run_worker(here, settings, trials=1)
    run_worker(there, other, trials=2)
    assert [row.run for row in read_result(here, settings).trials] == ["mine-000", "mine-001"]
    assert [entry.run.name for entry in list_runs(other)] == ["mine-001"]
    third = load_settings({"MGMT_LAB_HOME": str(tmp_path / "third"), "MGMT_LAB_THREADS": "1"})
    with pytest.raises(ConfigError, match="searches something else"):
        open_search(ask(third, source, CONFIG.model_copy(update={"seed": 1}), storage=url), third)


def test_a_loss_is_made_small(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source, config=CONFIG.model_copy(update={"select_on": "val_loss"}))
    run_worker(search, settings, trials=3)
    result = read_result(search, settings)
    assert result.best is not None
    assert result.best.value == min(row.value for row in result.trials if row.value is not None)
    assert search.open_study().direction == optuna.study.StudyDirection.MINIMIZE
    assert result.noise is None


def test_a_search_that_never_began_says_so(settings: Settings, source: DataSource) -> None:
    search = begin(settings, source)
    (search.folder / "journal.jsonl").unlink()
    with pytest.raises(StorageError, match="no trial yet"):
        read_result(search, settings)
