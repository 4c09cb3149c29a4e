"""Cross-validation on trainings of milliseconds: who judges whom, what is chosen where, and what a kill changes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.config import RunConfig
from core.dataset.table import build_table
from core.errors import ConfigError, SplitError
from core.experiments.folds.candidates import KIND, CrossValidationParameters, count_members, list_candidates
from core.experiments.folds.cross_validation import plan_members
from core.experiments.folds.result import choose_winners
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions, make_question
from core.jobs.member import train_members
from core.models.card import read_card
from core.parallel import dask_cluster
from core.phantom.config import PhantomConfig
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.runs.ledger import count_evaluations
from core.runs.records import DataSource
from core.settings import Settings
from tests.cluster import start_cluster
from tests.phantoms import copy_phantom
from tests.training.tiny import tiny_config

CONFIG = tiny_config("epochs=2", "batch_size=4", "val_fraction=0.25", "slice_count=1", "sequences=T1wCE")
THREE = CrossValidationParameters(folds=3)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Twenty synthetic patients."""
    root = tmp_path_factory.mktemp("cohort") / "phantom"
    copy_phantom(root, PhantomConfig(studies=20, slices=4, size=32, signal=3.0))
    return DataSource(root=str(root))


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The experiment's folder."""
    return settings.experiments / "cv"


def ask(folder: Path, source: DataSource, settings: Settings, config: RunConfig = CONFIG, **changes: Any) -> Experiment:
    parameters = CrossValidationParameters(**({"folds": 3} | changes))
    # Each test asks one question after the other of one folder.
    (folder / "question.json").unlink(missing_ok=True)
    return Experiment.ask(settings, folder.name, make_question(KIND, parameters, config, source))


def conduct(
    folder: Path, source: DataSource, settings: Settings, display: Display | None = None, **changes: Any
) -> dict[str, Any]:
    return run_experiment(ask(folder, source, settings, **changes), settings, RunOptions(), display)


def counting(report: Progress) -> Display:
    """Tell `report` of the epochs."""
    return Display(progress=lambda title: report if title == "epochs" else silent)


def test_each_patient_is_judged_once_a_seed_by_a_network_that_never_saw_it(
    folder: Path, source: DataSource, settings: Settings
) -> None:
    result = conduct(folder, source, settings, seeds=2)
    cohort = open_cohort(source, settings=settings)
    everybody = sorted(study.person for study in cohort)
    for seed in (0, 1):
        splits = [RunFolder(folder / "runs" / one["run"]).split() for one in result["folds"] if one["seed"] == seed]
        assert sorted(person for split in splits for person in split.test) == everybody
        for split in splits:
            assert sorted({*split.train, *split.val, *split.test}) == everybody
    assert result["patient"]["auroc"]["n"] == 20
    assert [one["auroc"]["n"] for one in result["by_seed"]] == [20, 20]
    values = [one["auroc"]["value"] for one in result["folds"]]
    assert result["patient"]["auroc"]["value"] == pytest.approx(np.mean(values))
    assert result["spread"]["n"] == 2
    assert result["design"] == "plain"
    assert "never saw it" in result["sentence"]
    json.dumps(result, allow_nan=False)


def test_one_look_a_fold_however_often_the_command_is_given(
    folder: Path, source: DataSource, settings: Settings
) -> None:
    first = conduct(folder, source, settings)
    assert [one["looked_at"] for one in first["folds"]] == [1, 1, 1]
    made = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/best.safetensors")}
    assert conduct(folder, source, settings) == first
    assert made == {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/best.safetensors")}
    digest = open_cohort(source, settings=settings).digest
    for one in first["folds"]:
        assert count_evaluations(RunFolder(folder / "runs" / one["run"]).split().test_digest, settings, digest) == 1
    assert count_evaluations("somebody else's test patients", settings, digest) == 1


def test_nested_chooses_on_inner_patients_and_judges_the_winner_alone(
    folder: Path, source: DataSource, settings: Settings
) -> None:
    result = conduct(folder, source, settings, vary={"learning_rate": ["0.05", "0.0000001"]}, inner_folds=2)
    assert result["trainings"] == 12
    assert result["design"] == "nested"
    assert sum(one["wins"] for one in result["candidates"]) == 3
    judged = {path.parent.name for path in folder.glob("runs/*/evaluation-test.json")}
    assert judged == {one["run"] for one in result["folds"]}
    for one in result["folds"]:
        assert one["candidate"] == 1 + int(np.argmax(one["inner_auroc"]))
        inner = [
            read_card(folder / "runs" / f"seed-00-fold-{one['fold']:02d}-candidate-{one['candidate']:02d}-inner-{part:02d}" / "best.safetensors")
            for part in (1, 2)
        ]  # fmt: skip
        values = [card.metrics["val"]["patient"]["auroc"]["value"] for card in inner]
        assert one["inner_auroc"][one["candidate"] - 1] == pytest.approx(np.mean(values))
        figure = one["inner"][one["candidate"] - 1]
        assert figure["n"] == sum(card.metrics["val"]["patient"]["auroc"]["n"] for card in inner)
        # Too few patients of a class to correct the AUROC for the choice of the epoch.
        assert all(card.metrics["val"]["patient"]["auroc"]["low"] is None for card in inner)
        assert figure["low"] is None
    assert "Nested" in result["sentence"]


def test_the_choice_does_not_know_the_fold(folder: Path, source: DataSource, settings: Settings) -> None:
    parameters = CrossValidationParameters(folds=3, vary={"learning_rate": ["0.05", "0.001"]})
    cohort = open_cohort(source, settings=settings)
    table = build_table(cohort, CONFIG.prep, settings)
    experiment = ask(folder, source, settings, vary=parameters.vary)
    candidates = list_candidates(CONFIG, parameters)
    members = plan_members(experiment, experiment.question(), table, cohort.digest, candidates, parameters)
    assert len(list(train_members(members, settings))) == 6
    chosen = choose_winners(members)
    assert len(chosen) == 3
    assert not list(folder.glob("runs/*/evaluation-*.json"))
    assert not (settings.runs / "test_looks.jsonl").exists()


def test_folds_are_the_same_for_a_seed_and_whatever_the_order(
    folder: Path, source: DataSource, settings: Settings
) -> None:
    experiment = ask(folder, source, settings)
    question = experiment.question()
    cohort = open_cohort(source, settings=settings)
    table = build_table(cohort, CONFIG.prep, settings)
    candidates = list_candidates(CONFIG, THREE)
    plan = plan_members(experiment, question, table, cohort.digest, candidates, THREE)
    turned = replace(table, rows=table.rows.sample(frac=1, random_state=0).reset_index(drop=True))
    assert plan_members(experiment, question, turned, cohort.digest, candidates, THREE) == plan
    other = list_candidates(tiny_config("epochs=2", "split_seed=1", "slice_count=1", "sequences=T1wCE"), THREE)
    assert [one.split.test for one in plan_members(experiment, question, table, cohort.digest, other, THREE)] != [
        one.split.test for one in plan
    ]


def test_a_stop_ends_it_before_the_next_member_and_the_same_call_resumes_it(
    folder: Path, source: DataSource, settings: Settings
) -> None:
    experiment = ask(folder, source, settings)
    experiment.stop()
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, settings, RunOptions())
    assert not experiment.members()
    seen: list[tuple[int, int]] = []

    def stop_in_the_second(done: int, total: int, what: str = "") -> None:
        seen.append((done, total))
        if done == 3:
            experiment.stop()

    with pytest.raises(KeyboardInterrupt):
        conduct(folder, source, settings, counting(stop_in_the_second))
    assert seen[-1][0] < 6
    assert conduct(folder, source, settings)["trainings"] == 3


def test_what_was_killed_and_resumed_is_what_was_never_interrupted(source: DataSource, settings: Settings) -> None:
    """A process of its own, killed with SIGKILL in mid-epoch of its second training; the same call then resumes it."""
    killed, whole = settings.experiments / "killed", settings.experiments / "whole"
    child = multiprocessing.get_context("spawn").Process(target=die_in_the_middle, args=(killed, source, settings))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    first, second = (RunFolder(killed / "runs" / f"seed-00-fold-{fold:02d}") for fold in (1, 2))
    assert [run.status().state for run in (first, second)] == ["finished", "interrupted"]
    assert len(second.epochs()) == 1
    kept = first.checkpoint.stat().st_mtime_ns
    found, expected = conduct(killed, source, settings), conduct(whole, source, settings)
    assert first.checkpoint.stat().st_mtime_ns == kept
    for key in ("patient", "by_seed", "candidates"):
        assert found[key] == expected[key]
    timeless = [{**fold, "looked_at": 0} for fold in expected["folds"]]
    assert [{**fold, "looked_at": 0} for fold in found["folds"]] == timeless
    for name in (one["run"] for one in expected["folds"]):
        weights = [load_file(root / "runs" / name / "best.safetensors") for root in (killed, whole)]
        assert all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[1])


def die_in_the_middle(folder: Path, source: DataSource, settings: Settings) -> None:
    """Cross-validate until the first step of the second training's second epoch."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from core.models.registry import ARCHITECTURES
    from tests.training.tiny import TINY_NETWORK

    ARCHITECTURES[TINY_NETWORK.name] = TINY_NETWORK  # type: ignore[index]
    second = RunFolder(folder / "runs" / "seed-00-fold-02")

    def die(*_: object) -> None:
        if second.epochs():
            os.kill(os.getpid(), signal.SIGKILL)

    register_optimizer_step_post_hook(die)
    conduct(folder, source, settings)


def test_what_cannot_be_done_is_told_before_anything_is_trained(
    folder: Path, source: DataSource, settings: Settings
) -> None:
    with pytest.raises(SplitError, match="fewer folds"):
        conduct(folder, source, settings, folds=11)
    with pytest.raises(ConfigError, match="no choice to vary"):
        conduct(folder, source, settings, vary={"val_fraction": ["0.2", "0.3"]})
    with pytest.raises(ConfigError, match="Did you mean"):
        conduct(folder, source, settings, vary={"learning_rat": ["0.2"]})
    with pytest.raises(ConfigError, match="2000 at most"):
        conduct(folder, source, settings, folds=100, seeds=21, vary={"seed": ["0"]})
    assert count_members(CrossValidationParameters(folds=4, seeds=2, inner_folds=3, vary={"seed": ["0", "1"]})) == 48
    assert not (folder / "runs").exists()


def test_the_judged_networks_are_the_ensemble(folder: Path, source: DataSource, settings: Settings) -> None:
    result = conduct(folder, source, settings)
    assert Path(result["ensemble"]) == folder / "ensemble.json"
    card = read_card(folder / "ensemble.json")
    assert card.metrics["folds"]["patient"]["auroc"]["value"] == result["patient"]["auroc"]["value"]
    assert card.members == tuple(one["run"] for one in result["folds"])


@pytest.mark.slow
def test_a_cluster_trains_the_folds_as_this_process_does_though_a_worker_dies(
    folder: Path, source: DataSource, settings: Settings, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="an extra: pip install 'dask[distributed]'")
    config = CONFIG.model_copy(update={"architecture": "resnet18"})  # the workers know no network of the tests
    expected = conduct(folder, source, settings, config=config)
    elsewhere = replace(settings, home=tmp_path / "cluster-home")
    other = elsewhere.experiments / "cv"
    killed: list[int] = []
    with start_cluster(tmp_path, 2) as (address, workers), dask_cluster(address):

        def kill_half_way(done: int, total: int, what: str = "") -> None:
            if done and not killed:
                workers[0].kill()
                killed.append(done)

        found = conduct(other, source, elsewhere, counting(kill_half_way), config=config)
        assert workers[0].wait() != 0
    assert killed
    assert killed[0] < 3 * config.epochs
    assert found["folds"] == expected["folds"]
    assert found["patient"] == expected["patient"]
