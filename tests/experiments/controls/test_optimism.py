"""The meter of optimism, on trainings of milliseconds: whose patients are judged, and what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from core.config import RunConfig
from core.dataset.split import make_split
from core.dataset.table import build_table
from core.errors import EvaluationError, RunError
from core.evaluation.figure import Figure
from core.experiments.controls.optimism import KIND, OptimismParameters, Pair, compare_pairs, read_own_pair
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions, make_question
from core.models.registry import ARCHITECTURES
from core.phantom.config import PhantomConfig
from core.runs.cohort import open_cohort
from core.runs.ledger import count_evaluations
from core.runs.records import DataSource
from core.settings import Settings
from core.training.evaluate import evaluate_run
from core.training.trainer import run_training
from tests.phantoms import copy_phantom
from tests.training.tiny import TINY_NETWORK, tiny_config

CONFIG = tiny_config("epochs=2", "test_fraction=0.25", "val_fraction=0.25")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that trains in milliseconds."""
    monkeypatch.setitem(ARCHITECTURES, TINY_NETWORK.name, TINY_NETWORK)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Twenty synthetic patients."""
    root = tmp_path_factory.mktemp("cohort") / "phantom"
    copy_phantom(root, PhantomConfig(studies=20, slices=8, size=48, signal=3.0))
    return DataSource(root=str(root))


def ask(
    settings: Settings, source: DataSource, kind: str, parameters: BaseModel, config: RunConfig = CONFIG
) -> Experiment:
    return Experiment.ask(settings, "mine", make_question(kind, parameters, config, source))


def run(experiment: Experiment, settings: Settings, display: Display | None = None) -> dict[str, Any]:
    return run_experiment(experiment, settings, RunOptions(), display)


def test_each_training_holds_others_out_and_nobody_looks_at_the_test_patients(
    settings: Settings, source: DataSource
) -> None:
    said: list[tuple[int, int]] = []
    display = Display(progress=lambda title: lambda done, total, what="": said.append((done, total)))
    experiment = ask(settings, source, KIND, OptimismParameters(seeds=2))
    result = run(experiment, settings, display)
    splits = [member.split() for member in experiment.members()]
    cohort = open_cohort(source, settings=settings)
    outer = make_split(build_table(cohort, CONFIG.prep, settings), CONFIG.split, cohort.digest)
    for split in splits:
        assert not set(outer.test) & {*split.train, *split.val, *split.test}
    assert splits[0].test != splits[1].test
    assert count_evaluations(outer.test_digest, settings) == 0
    assert [pair["untouched"]["n"] for pair in result["pairs"]] == [len(split.test) for split in splits]
    assert [pair["validation"]["n"] for pair in result["pairs"]] == [len(split.val) for split in splits]
    assert said[-1] == (2, 2)
    assert experiment.result() == json.loads(json.dumps(result))


def test_a_member_that_was_trained_on_another_split_is_refused(settings: Settings, source: DataSource) -> None:
    """An older version could be killed between making the folder and its split: resumed, it drew one with test patients."""
    experiment = ask(settings, source, KIND, OptimismParameters(seeds=2))
    run(experiment, settings)
    cohort = open_cohort(source, settings=settings)
    outer = make_split(build_table(cohort, CONFIG.prep, settings), CONFIG.split, cohort.digest)
    (experiment.runs / "seed-01" / "split.json").write_text(outer.to_json())
    with pytest.raises(RunError, match="another split"):
        run(experiment, settings)
    (experiment.runs / "seed-01" / "split.json").unlink()
    with pytest.raises(RunError, match="another split"):
        run(experiment, settings)


def pair(seed: int, validation: float | None, untouched: float | None) -> Pair:
    def figure(value: float | None) -> Figure:
        return Figure(value=value, low=None, high=None, n=10)

    return Pair(seed=seed, run=f"r{seed}", epoch=1, validation=figure(validation), untouched=figure(untouched))


def test_the_gap_has_students_interval_over_trainings() -> None:
    from scipy.stats import ttest_1samp

    validation, untouched = [0.8, 0.7, 0.75, 0.9], [0.6, 0.65, 0.5, 0.6]
    pairs = [pair(seed, *values) for seed, values in enumerate(zip(validation, untouched, strict=True))]
    result = compare_pairs([*pairs, pair(9, None, 0.5)])
    expected = ttest_1samp(np.subtract(validation, untouched), 0).confidence_interval()
    assert result["optimism"]["value"] == pytest.approx(0.2)
    assert (result["optimism"]["low"], result["optimism"]["high"]) == pytest.approx((expected.low, expected.high))
    assert result["optimism"]["n"] == 4
    of_one = ttest_1samp(untouched, 0).confidence_interval()
    assert (result["untouched"]["low"], result["untouched"]["high"]) == pytest.approx((of_one.low, of_one.high))
    assert "0.787 (0.652 to 0.923) on the patients that chose it and 0.588 (" in result["sentence"]
    assert len(result["pairs"]) == 5


def test_the_interval_of_few_trainings_stays_where_a_difference_can_lie() -> None:
    gap = compare_pairs([pair(0, 1.0, 0.0), pair(1, 0.5, 0.5)])["optimism"]
    assert (gap["low"], gap["high"]) == (-1.0, 1.0)


def test_one_training_says_nothing() -> None:
    with pytest.raises(EvaluationError, match="Fewer than two"):
        compare_pairs([pair(0, 0.7, 0.6), pair(1, None, 0.6)])


def test_a_pair_is_read_as_it_was_written() -> None:
    written = pair(3, 0.7, 0.6)
    assert Pair.from_dict(json.loads(json.dumps(written.to_dict()))) == written


def test_ones_own_run_gives_a_pair_after_a_look_and_a_control_never_does(
    settings: Settings, source: DataSource
) -> None:
    config = CONFIG.model_copy(update={"epochs": 1})
    own = run_training(settings, config, source, name="own")
    assert read_own_pair(own) is None
    evaluate_run(own, "test", settings)
    found = read_own_pair(own)
    assert found is not None
    assert (found.run, found.epoch) == ("own", 1)
    assert (found.validation.value, found.validation.low) == (own.epochs()[0].val_patient_auroc, None)
    assert found.gap.n == found.validation.n + found.untouched.n
    shuffled = run_training(settings, config, source.model_copy(update={"shuffle_seed": 1}), name="shuffled")
    evaluate_run(shuffled, "test", settings)
    assert read_own_pair(shuffled) is None


def test_the_untouched_figure_has_an_interval_over_patients_not_over_trainings() -> None:
    """Trainings on overlapping patients agree with each other more than with the truth."""
    pairs = [
        replace(pair(seed, 0.8, value), untouched=Figure(value=value, low=value - 0.2, high=value + 0.2, n=30))
        for seed, value in enumerate([0.60, 0.61, 0.62])
    ]
    found = compare_pairs(pairs)["untouched"]
    assert (found["low"], found["high"]) == pytest.approx((0.41, 0.81))
    assert "of the procedure" in compare_pairs(pairs)["estimand"]
