"""Who takes which trial: as many as wanted, none twice, and what a dead worker held is taken up."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import optuna
import pytest

from core.experiments.search import storage as search_storage
from core.experiments.search.storage import StudyPlace, heartbeat, open_study
from core.experiments.search.trial_queue import (
    MOST_DEATHS,
    claim_trial,
    current_trials,
    register_worker,
    release_trial,
)
from core.jobs.experiment import Experiment

OPTIONS = {"shared": False, "sampler": "random", "seed": 0}


def study_of(folder: Path) -> optuna.Study:
    return open_study(StudyPlace(name="mine", folder=folder), create=True)


def draw(folder: Path, trials: int, worker: str) -> optuna.trial.Trial | None:
    """Claim a trial and draw its one setting."""
    trial = claim_trial(study_of(folder), folder, worker, trials=trials, **OPTIONS)
    if trial is not None:
        trial.suggest_float("learning_rate", 0, 1)
    return trial


def drawn(folder: Path) -> list[float]:
    return [trial.params["learning_rate"] for trial in current_trials(study_of(folder).trials)]


def test_no_more_trials_are_taken_than_wanted(tmp_path: Path) -> None:
    with register_worker(tmp_path) as worker:
        assert Experiment(tmp_path).count_workers() == 1
        taken = [draw(tmp_path, 3, worker) for _ in range(4)]
    assert [trial is None for trial in taken] == [False, False, False, True]
    assert Experiment(tmp_path).count_workers() == 0


def test_a_dead_workers_trial_is_taken_up_with_what_it_drew(tmp_path: Path) -> None:
    with register_worker(tmp_path) as dead:
        first = draw(tmp_path, 2, dead)
    assert first is not None
    with register_worker(tmp_path) as alive:
        second = draw(tmp_path, 2, alive)
        assert second is not None
        assert second.user_attrs["replaces"] == [first.number]
        assert second.params == first.params
        third = draw(tmp_path, 2, alive)
        assert third is not None
        assert "replaces" not in third.user_attrs
        assert draw(tmp_path, 2, alive) is None
    states = [trial.state.name for trial in study_of(tmp_path).trials]
    assert states == ["FAIL", "RUNNING", "RUNNING"]
    assert len(current_trials(study_of(tmp_path).trials)) == 2


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    for _ in range(MOST_DEATHS):
        with register_worker(tmp_path) as worker:
            trial = draw(tmp_path, 1, worker)
            assert trial is not None
    with register_worker(tmp_path) as worker:
        assert draw(tmp_path, 1, worker) is None
    (last,) = current_trials(study_of(tmp_path).trials)
    assert last.state == optuna.trial.TrialState.FAIL
    assert last.user_attrs["deaths"] == MOST_DEATHS - 1


def test_a_trial_that_is_handed_back_costs_no_life(tmp_path: Path) -> None:
    for _ in range(MOST_DEATHS + 1):
        with register_worker(tmp_path) as worker:
            trial = draw(tmp_path, 1, worker)
            assert trial is not None
            release_trial(study_of(tmp_path), tmp_path, trial.number)
    (waiting,) = current_trials(study_of(tmp_path).trials)
    assert waiting.state == optuna.trial.TrialState.WAITING
    assert waiting.user_attrs["deaths"] == 0
    assert len(waiting.user_attrs["replaces"]) == MOST_DEATHS + 1


def test_an_interrupted_search_draws_what_an_uninterrupted_one_would(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    with register_worker(whole) as worker:
        for _ in range(4):
            draw(whole, 4, worker)
    for _ in range(4):
        with register_worker(parts) as worker:
            study = study_of(parts)
            trial = draw(parts, 4, worker)
            assert trial is not None
            study.tell(trial.number, 0.5)
    assert drawn(parts) == drawn(whole)
    assert len(set(drawn(whole))) == 4


def test_a_database_leaves_workers_of_other_hosts_alone(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    place = StudyPlace(name="mine", folder=here, url=f"sqlite:///{tmp_path}/shared.db")
    study = open_study(place, create=True)
    options = {**OPTIONS, "shared": True}
    with register_worker(there) as elsewhere:
        study.set_user_attr("seen", True)
        there.joinpath("x").touch()
        first = claim_trial(study, there, elsewhere, trials=2, **options)
    with register_worker(here) as worker:
        second = claim_trial(study, here, worker, trials=2, **options)
        assert claim_trial(study, here, worker, trials=2, **options) is None
    assert first is not None
    assert second is not None
    assert [trial.state.name for trial in study.trials] == ["RUNNING", "RUNNING"]


def test_a_worker_of_another_host_that_is_not_heard_of_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_storage, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(search_storage, "GRACE_SECONDS", 2)
    here, there = tmp_path / "here", tmp_path / "there"
    place = StudyPlace(name="mine", folder=here, url=f"sqlite:///{tmp_path}/shared.db")
    study = open_study(place, create=True)
    options = {**OPTIONS, "shared": True, "trials": 1}
    with register_worker(there) as elsewhere:
        silent = claim_trial(study, there, elsewhere, **options)
    assert silent is not None
    with register_worker(here) as worker:
        taken = None
        for _ in range(100):
            taken = claim_trial(study, here, worker, **options)
            if taken is not None:
                break
            time.sleep(0.2)
        assert taken is not None
        assert taken.user_attrs["replaces"] == [silent.number]
        with heartbeat(study, place, taken):
            time.sleep(4)  # twice the grace: without a heartbeat it would be taken for dead
            assert claim_trial(study, here, worker, **options) is None


def work(folder: str, trials: int) -> None:
    """Take trials until there are enough, as a worker of its own process does."""
    with register_worker(Path(folder)) as worker:
        while (trial := draw(Path(folder), trials, worker)) is not None:
            study_of(Path(folder)).tell(trial.number, trial.params["learning_rate"])


def test_two_processes_share_one_study(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(str(tmp_path), 10)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    trials = study_of(tmp_path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 10
    assert len({trial.params["learning_rate"] for trial in trials}) == 10


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_what_is_drawn_depends_on_the_seed(tmp_path: Path, sampler: str) -> None:
    values = set()
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with register_worker(folder) as worker:
            trial = claim_trial(
                study_of(folder),
                folder,
                worker,
                trials=1,
                shared=False,
                sampler=sampler,
                seed=seed,  # type: ignore[arg-type]
            )
            assert trial is not None
            values.add(trial.suggest_float("learning_rate", 0, 1))
    assert len(values) == 2
