"""What choosing the best of several gains by noise alone: against known values, and against drawn numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from core.errors import EvaluationError
from core.evaluation.calibration import to_probabilities
from core.evaluation.conformal import fit_conformal, predict_sets
from core.evaluation.figure import ALL_EQUAL, Figure
from core.evaluation.intervals import auroc_interval
from core.evaluation.selection import (
    SET_FOLDS,
    Selection,
    correct_auroc,
    expected_gain,
    expected_maximum,
    join_selections,
    withhold_intervals,
)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, 0.0), (2, 1 / np.sqrt(np.pi)), (3, 1.5 / np.sqrt(np.pi)), (10, 1.538753), (100, 2.507594)],
)
def test_the_expected_largest_of_normal_numbers_is_the_tabled_one(count: int, expected: float) -> None:
    assert expected_maximum(count) == pytest.approx(expected, abs=1e-5)


def test_what_is_common_to_all_models_chooses_none_of_them() -> None:
    generator = np.random.default_rng(0)
    error, correlation, count, draws = 0.07, 0.8, 12, 40_000
    common = generator.normal(size=(draws, 1)) * np.sqrt(correlation)
    own = generator.normal(size=(draws, count)) * np.sqrt(1 - correlation)
    gained = (error * (common + own)).max(axis=1)
    assert expected_gain(count, error, correlation) == pytest.approx(
        gained.mean(), abs=4 * gained.std() / np.sqrt(draws)
    )
    assert expected_gain(count, error, 1.0) == 0.0
    assert expected_gain(count, error) == pytest.approx(error * expected_maximum(count))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(EvaluationError, match="at least one"):
        expected_maximum(0)
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        expected_gain(3, 0.1, 1.5)
    with pytest.raises(EvaluationError, match="0 or more"):
        expected_gain(3, -0.1)


def draw_selection(
    generator: np.random.Generator, patients: int = 60, epochs: int = 20, effect: float = 0.0
) -> Selection:
    """Epochs whose scores are alike but not equal, of patients half of whom are positive."""
    labels = np.arange(patients) % 2
    scores = generator.normal(size=(1, patients)) + generator.normal(size=(epochs, patients)) + effect * labels
    logits = np.stack([-scores / 2, scores / 2], axis=-1)
    right = (scores > 0) == (labels == 1)
    return Selection(
        labels=labels, logits=logits, losses=np.log1p(np.exp(-np.where(labels, scores, -scores))),
        hits=right.astype(float), positive_class=1, select_on="val_patient_auroc",
    )  # fmt: skip


def test_of_the_best_of_twenty_noises_the_corrected_auroc_is_seldom_told_from_chance() -> None:
    """The apparent one is in about a third."""
    generator = np.random.default_rng(3)
    apparent, corrected, values = 0, 0, []
    for _ in range(60):
        selection = draw_selection(generator)
        best = selection.choose(np.ones((1, 60)))[0]
        apparent += auroc_interval(selection.labels == 1, selection.odds[best])[1] > 0.5
        figure = correct_auroc(selection, draws=60)
        corrected += figure.low > 0.5
        values.append(figure.value)
    assert apparent >= 9
    assert corrected <= 5
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)


def test_the_best_trial_of_several_is_corrected_for_all_their_epochs() -> None:
    generator = np.random.default_rng(5)
    told_alone = told_joined = 0
    for _ in range(30):
        first, *others = (draw_selection(generator, epochs=3) for _ in range(8))
        trials = [first, *(replace(one, labels=first.labels) for one in others)]
        joined = join_selections(trials)
        assert joined is not None
        assert joined.logits.shape == (24, 60, 2)
        best = int(joined.choose(np.ones((1, 60)))[0]) // 3
        told_alone += (correct_auroc(trials[best], draws=100).low or 0) > 0.5
        told_joined += (correct_auroc(joined, draws=100).low or 0) > 0.5
    assert told_joined <= 2 < told_alone
    assert join_selections([first, draw_selection(generator, patients=58)]) is None
    assert join_selections([]) is None


def test_a_strong_signal_keeps_its_auroc() -> None:
    selection = draw_selection(np.random.default_rng(4), effect=4.0)
    figure = correct_auroc(selection, draws=60)
    best = selection.choose(np.ones((1, 60)))[0]
    apparent = auroc_interval(selection.labels == 1, selection.odds[best])[0]
    assert apparent - 0.05 < figure.value <= apparent
    assert figure.low > 0.8


@pytest.mark.parametrize("select_on", ["val_patient_auroc", "val_accuracy", "val_loss"])
def test_the_best_epoch_is_that_of_the_weighted_patients(select_on: str) -> None:
    selection = replace(draw_selection(np.random.default_rng(5), patients=12, epochs=6), select_on=select_on)
    counts = np.random.default_rng(6).integers(0, 3, (4, 12)).astype(float)
    for weights, chosen in zip(counts, selection.choose(counts), strict=True):
        drawn = np.repeat(np.arange(12), weights.astype(int))
        by_hand = {
            "val_patient_auroc": [roc_auc_score(selection.labels[drawn], odds[drawn]) for odds in selection.odds],
            "val_accuracy": selection.hits[:, drawn].sum(axis=1),
            "val_loss": -selection.losses[:, drawn].sum(axis=1),
        }[select_on]
        assert chosen == int(np.argmax(by_hand))


def test_of_epochs_with_one_auroc_the_one_of_the_lower_loss_is_chosen() -> None:
    drawn = draw_selection(np.random.default_rng(7), patients=12, epochs=3)
    same = replace(drawn, logits=np.stack([drawn.logits[0]] * 3), losses=drawn.losses[:1] * np.array([[2], [1], [1]]))
    assert same.choose(np.ones((2, 12))).tolist() == [1, 1]


def test_sets_fitted_on_left_out_scores_hold_after_a_choice_among_unrelated_candidates() -> None:
    """Of 117 patients, with twenty candidates: 0.892 with one patient at a time left out."""
    generator, covered = np.random.default_rng(0), []
    labels = (np.arange(117) < 61).astype(np.int64)
    new = (np.arange(2000) < 1050).astype(np.int64)
    for _ in range(150):
        odds = generator.normal(size=(20, 117)) + 1.6 * (labels - 0.5)
        logits, nothing = np.stack([-odds / 2, odds / 2], axis=-1), np.zeros(odds.shape)
        selection = Selection(
            labels=labels, logits=logits, losses=nothing, hits=nothing, positive_class=1, select_on="val_patient_auroc"
        )
        fresh = generator.normal(size=2000) + 1.6 * (new - 0.5)
        rule = fit_conformal(labels, to_probabilities(selection.score_left_out(SET_FOLDS)))
        sets = predict_sets(rule, to_probabilities(np.stack([-fresh / 2, fresh / 2], axis=1)))
        covered.append(np.mean([sets[new == label, label].mean() for label in (0, 1)]))
    assert np.mean(covered) >= 0.9


def test_a_single_epoch_was_not_chosen_and_keeps_its_auroc() -> None:
    alone = draw_selection(np.random.default_rng(3), epochs=1, effect=0.6)
    expected, low, high = auroc_interval(alone.labels == 1, alone.odds[0])
    figure = correct_auroc(alone)
    assert figure.value == pytest.approx(expected)
    assert (figure.low, figure.high) == pytest.approx((low, high), abs=0.02)


def test_of_few_patients_who_chose_the_upper_end_reaches_as_far_as_students_t() -> None:
    """Skewed scores of 24 patients and a true AUROC of 0.95: the normal quantile left one of ten above the interval."""
    chosen = draw_selection(np.random.default_rng(8), patients=24, effect=1.0)
    figure = correct_auroc(chosen)
    below, above = logit(figure.value) - logit(figure.low), logit(figure.high) - logit(figure.value)
    assert above / below == pytest.approx(student.ppf(0.975, 11) / 1.95996, rel=1e-4)


def test_the_interval_holds_what_the_chosen_epoch_showed() -> None:
    """Skewed scores of 24 or 60 patients and a true AUROC of 0.95: it lay above the interval in one of 16 to 21."""
    chosen = draw_selection(np.random.default_rng(0), patients=24, effect=4.0)
    best = int(chosen.choose(np.ones((1, 24)))[0])
    apparent = auroc_interval(chosen.labels == 1, chosen.odds[best])[0]
    figure = correct_auroc(chosen)
    assert figure.value < apparent
    assert figure.high >= apparent


def test_too_few_patients_or_three_classes_have_no_corrected_auroc() -> None:
    few = draw_selection(np.random.default_rng(7), patients=6)
    assert correct_auroc(few).value is None
    apparent = Figure(value=0.9, low=0.7, high=1.0, n=6, method="DeLong")
    kept = withhold_intervals(
        {"auroc": apparent, "share": replace(apparent, low=None, reason="why")}, correct_auroc(few)
    )
    assert (kept["auroc"].value, kept["auroc"].low) == (0.9, None)
    assert "chose the epoch" in kept["auroc"].reason
    assert kept["share"].reason == "why"


def test_epochs_that_rank_nobody_have_no_auroc() -> None:
    labels = np.arange(40) % 2
    constant = Selection(
        labels=labels, logits=np.zeros((3, 40, 2)), losses=np.ones((3, 40)), hits=np.ones((3, 40)),
        positive_class=1, select_on="val_patient_auroc",
    )  # fmt: skip
    figure = correct_auroc(constant)
    assert (figure.value, figure.low, figure.high, figure.reason) == (None, None, None, ALL_EQUAL)
