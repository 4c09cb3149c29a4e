"""The guard refuses what lies beyond limits set on held-out patients, keeps its rate, and says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.data.study import Series, Study
from core.dataset.picture_features import FEATURES
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split
from core.errors import CheckpointError
from core.evaluation.conformal import refused_share
from core.inference.guard import GuardLimits, judge, measure_studies
from core.inference.guard_fit import FEWEST, fit_limits, fit_run_limits
from core.inference.ood import OodCheck
from core.inference.predict import Predictor
from core.mri import MRSequence
from tests.inference.test_ood import card
from tests.inference.test_predict import write_series as write_series

SIZE = len(FEATURES)


def patients(count: int, seed: int, names: Sequence[str] = ("FLAIR", "T2w"), shift: float = 0.0) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [
        [(name, generator.normal(shift + 3 * place, 1, (5, SIZE))) for place, name in enumerate(names)]
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def limits() -> GuardLimits:
    return GuardLimits.model_validate(fit_limits(patients(60, 1), patients(99, 2), 0.05))


def test_few_patients_like_those_of_the_training_are_refused(limits: GuardLimits) -> None:
    assert (limits.held_out, limits.below, len(limits.limits)) == (99, 95, 2)
    expected, low, high = refused_share(99, 95)
    assert expected == pytest.approx(0.05)
    for several in (1, 2):
        refused = np.mean([limits.measure(one[:several]).refused for one in patients(2000, 3)])
        assert low / 2 < refused < high * 1.5


def test_others_and_a_wrong_sequence_are_refused(limits: GuardLimits) -> None:
    assert all(limits.measure(one).refused for one in patients(50, 4, shift=1.5))
    assert all(limits.measure(one).refused for one in patients(50, 5, names=("T2w", "FLAIR")))
    (one,) = patients(1, 6)
    assert limits.measure([("unknown", features) for _, features in one]).value == limits.measure(one).value
    assert limits.measure([("FLAIR", np.full((1, SIZE), np.nan))]).refused


def test_the_reason_names_what_is_unlike_and_what_to_do(limits: GuardLimits) -> None:
    (one,) = patients(1, 7)
    odd = [(name, features + 40 * np.eye(SIZE)[4]) for name, features in one]
    state, reason = judge([], limits.measure(odd), card(synthetic=True))
    assert state == "abstained"
    assert f"most unlike are {FEATURES[4]}" in reason
    assert "knows only synthetic brains" in reason
    assert "whole brain" in judge([], limits.measure(odd), card())[1]


def test_what_was_not_checked_is_answered_unless_a_check_refuses(limits: GuardLimits) -> None:
    usual = limits.measure(patients(1, 7)[0])
    assert judge([], None, card()) == ("not checked", "")
    assert judge([], usual, card()) == ("passed", "")
    real = judge([], usual, card(synthetic=True), synthetic=False)
    assert real[0] == "abstained"
    assert "not known to be synthetic" in real[1]
    assert judge([], None, card(synthetic=True), synthetic=False) == ("not checked", "")
    warns = OodCheck(kind="plane", value="coronal", limit="axial", sentence="It is coronal.")
    assert judge([warns], usual, card()) == ("passed", "")
    refuses = replace(warns, remedy="Turn it.")
    assert judge([warns, refuses], usual, card()) == ("abstained", "It is coronal. Turn it.")
    assert judge([refuses], None, card())[0] == "abstained"


@pytest.mark.parametrize(
    ("name", "value"),
    [("limits", []), ("features", ["another"]), ("below", 100), ("references", {"FLAIR": {"mean": [0.0], "precision": [[1.0]]}}),
     ("limits", ["much"])],
)  # fmt: skip
def test_damaged_limits_are_refused_when_a_checkpoint_is_loaded(
    name: str, value: object, limits: GuardLimits, write_checkpoint: Callable[..., Path]
) -> None:
    with pytest.raises(CheckpointError, match=r"guard .* damaged"):
        Predictor(write_checkpoint(guard=limits.model_dump(mode="json") | {name: value}))


def test_a_prediction_carries_the_verdict(
    limits: GuardLimits, write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    scan = Study(study_id="1", person="1", label=None, series=(write_series(MRSequence.FLAIR),))
    assert Predictor(write_checkpoint(guard=limits.model_dump(mode="json"))).predict(scan).guard == "abstained"
    wide = limits.model_copy(update={"limits": (1e9,)}).model_dump(mode="json")
    assert Predictor(write_checkpoint(guard=wide)).predict(scan).guard == "passed"


def table(people: int, seed: int = 0) -> SliceTable:
    images = np.random.default_rng(seed).integers(0, 255, (people, 3, 16, 16)).astype(np.uint8)
    rows = pd.DataFrame(
        [
            {
                "study_id": f"{one:03}",
                "person": f"p{one:03}",
                "label": one % 2,
                "sequence": "FLAIR",
                "array": one,
                "offset": place,
            }
            for one in range(people)
            for place in range(3)
        ]
    )
    return SliceTable(rows=rows, arrays=tuple(images), class_names=("a", "b"), positive_class=1)


def split(held_out: int) -> Split:
    names = tuple(f"p{one:03}" for one in range(40))
    return Split(unit="patient", seed=0, cohort_digest="", train=names[held_out:], val=names[:held_out], test=())


def test_a_run_sets_its_limits_on_validation_patients_if_there_are_enough() -> None:
    found = GuardLimits.model_validate(fit_run_limits(table(40), split(20)))
    assert (found.held_out, found.below) == (20, 20)
    assert fit_run_limits(table(40), split(FEWEST - 1)) == {}
    assert fit_run_limits(table(40), replace(split(20), unit="slice")) == {}


def test_studies_are_measured_series_by_series() -> None:
    cohort = table(40)
    assert [len(series) for series in measure_studies(cohort, np.arange(len(cohort.rows))).values()] == [1] * 40
