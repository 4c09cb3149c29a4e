"""Killed between any two file operations of making an experiment and its runs, and resumed, nothing is different."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.dataset.split import make_split
from core.dataset.table import build_table
from core.experiments.controls.inner_split import split_inside
from core.experiments.controls.optimism import KIND, OptimismParameters
from core.experiments.run import KINDS, run_experiment
from core.experiments.search.search import SearchParameters, ask_search
from core.experiments.twin.pair import plan_pair
from core.jobs.experiment import Experiment, Question, RunOptions, make_question
from core.jobs.member import Member, open_member
from core.phantom.config import PhantomConfig
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder, list_runs
from core.runs.records import DataSource
from core.settings import Settings
from tests.jobs.killing import Killed, Killer, killing
from tests.phantoms import copy_phantom
from tests.training.tiny import tiny_config

CONFIG = tiny_config("epochs=1", "test_fraction=0.25", "val_fraction=0.25", "slice_count=1", "sequences=FLAIR")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Enough patients for a hold-out inside a hold-out."""
    root = tmp_path_factory.mktemp("cohort") / "phantom"
    copy_phantom(root, PhantomConfig(studies=16, slices=4, size=32, signal=3.0))
    return DataSource(root=str(root))


def kill_everywhere(settings: Settings, act: Callable[[str], Any], fewest: int) -> list[Any]:
    """Return what `act` gives for names "k-000", "k-001", ..., each killed before another operation and then resumed.

    The first of the list, "whole", is not killed. Operations inside a run's finished folder, the training's own, are not counted:
    its tests are in tests/training.
    """

    def making(path: str) -> bool:
        inside = any(path.startswith(f"{top}/") for top in (settings.experiments, settings.runs))
        return inside and not any((Path(*parent) / "config.json").exists() for parent in _finished_parents(path))

    act("first")  # makes the folders of all
    killer = Killer(making)
    with killing(killer):
        results = [act("whole")]
    assert killer.count >= fewest
    for number in range(killer.count):
        name = f"k-{number:03d}"
        with killing(Killer(making, kill_at=number)), pytest.raises(Killed):
            act(name)
        results.append(act(name))
    return results


def _finished_parents(path: str) -> list[tuple[str, ...]]:
    parts = Path(path).parts
    return [parts[:end] for end in range(2, len(parts)) if not parts[end - 1].startswith(".")]


def test_members_of_an_experiment_killed_anywhere_have_the_splits_that_it_gives_them(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained here, so that every operation can be tried."""
    cohort = open_cohort(source, settings=settings)
    table = build_table(cohort, CONFIG.prep, settings)
    splits = [split_inside(table, CONFIG.split, cohort.digest, seed) for seed in range(2)]

    def conduct(experiment: Experiment, question: Question, *_: object) -> dict[str, Any]:
        for number, split in enumerate(splits):
            folder = experiment.runs / f"seed-{number:02d}"
            open_member(Member(folder=folder, config=CONFIG, source=question.source, split=split), settings)
        return {"splits": [json.loads(member.split().to_json()) for member in experiment.members()]}

    monkeypatch.setitem(KINDS, KIND, conduct)
    question = make_question(KIND, OptimismParameters(seeds=2), CONFIG, source)

    def act(name: str) -> Any:
        experiment = Experiment.ask(settings, name, question)
        run_experiment(experiment, settings, RunOptions(parallel=2))
        assert experiment.question().model_copy(update={"created": ""}) == question
        assert experiment.options() == RunOptions(parallel=2)
        assert experiment.status().state == "finished"
        return experiment.result()

    first, *others = kill_everywhere(settings, act, fewest=40)
    assert first["splits"] == [json.loads(split.to_json()) for split in splits]
    assert all(other == first for other in others)


@pytest.mark.slow
def test_optimism_killed_anywhere_finds_the_same_and_never_trains_on_the_test_patients(
    settings: Settings, source: DataSource
) -> None:
    question = make_question(KIND, OptimismParameters(seeds=2), CONFIG, source)
    cohort = open_cohort(source, settings=settings)
    test = set(make_split(build_table(cohort, CONFIG.prep, settings), CONFIG.split, cohort.digest).test)
    assert test

    def act(name: str) -> Any:
        experiment = Experiment.ask(settings, name, question)
        result = run_experiment(experiment, settings, RunOptions())
        splits = [member.split() for member in experiment.members()]
        assert not any(test & {*split.train, *split.val, *split.test} for split in splits)
        assert experiment.result() == json.loads(json.dumps(result))
        assert experiment.status().state == "finished"
        return result, splits

    first, *others = kill_everywhere(settings, act, fewest=30)
    assert all(other == first for other in others)


@pytest.mark.slow
def test_a_search_killed_anywhere_finds_the_same(settings: Settings, source: DataSource) -> None:
    parameters = SearchParameters(space=("learning_rate=1e-4..1e-2:log",), sampler="random", pruner="none")

    def act(name: str) -> Any:
        question: Question = ask_search(name, CONFIG, source, parameters)
        experiment = Experiment.ask(settings, name, question)
        run_experiment(experiment, settings, RunOptions(count=1))
        result = experiment.result()
        assert result is not None
        (trial,) = result["trials"]
        run = RunFolder(settings.runs / trial["run"])
        assert trial["run"] == f"{name}-000"
        assert run.split() == experiment.split()
        return trial["state"], trial["settings"], trial["value"], run.split()

    first, *others = kill_everywhere(settings, act, fewest=30)
    assert all(other == first for other in others)


@pytest.mark.slow
def test_a_twin_run_killed_anywhere_is_planned_the_same(settings: Settings, source: DataSource) -> None:
    config = CONFIG.model_copy(update={"prep": CONFIG.prep.model_copy(update={"slice_count": 4})})

    def act(name: str) -> Any:
        pair = plan_pair(settings, config, source, name=name)
        return pair.siblings, pair.trained_on, [run.split() for run in pair.runs.values()]

    first, *others = kill_everywhere(settings, act, fewest=20)
    assert all(other == first for other in others)
    assert all(entry.status.state == "stopped" for entry in list_runs(settings))
