"""Predictive values and probabilities where another share of the patients is positive."""

import numpy as np
import pytest
from scipy.special import expit

from core.errors import EvaluationError
from core.evaluation.thresholds import evaluate_thresholds, shift_prevalence, values_at_prevalence


def test_at_the_patients_own_prevalence_the_predictive_values_are_theirs() -> None:
    generator = np.random.default_rng(0)
    positive = np.arange(80) < 44
    chance = expit(generator.normal(size=80) + positive)
    (point,) = evaluate_thresholds(positive, chance, [0.6])
    found = values_at_prevalence(point, 0.55)
    for name in ("positive_value", "negative_value"):
        assert found[name].value == pytest.approx(getattr(point, name).value)
        assert found[name].low < found[name].value < found[name].high
        assert found[name].n == 80
    # Bayes by hand: sensitivity and specificity stay.
    sensitivity, specificity = point.sensitivity.value, point.specificity.value
    rare = values_at_prevalence(point, 0.1)
    by_hand = 0.1 * sensitivity / (0.1 * sensitivity + 0.9 * (1 - specificity))
    assert rare["positive_value"].value == pytest.approx(by_hand)
    assert rare["negative_value"].value > found["negative_value"].value


def test_limits_hold_the_value_of_other_patients() -> None:
    generator, positive, held = np.random.default_rng(1), np.arange(60) < 30, 0
    truth = 0.2 * 0.8 / (0.2 * 0.8 + 0.8 * 0.3)
    for _ in range(300):
        called = np.where(positive, generator.random(60) < 0.8, generator.random(60) < 0.3)
        (point,) = evaluate_thresholds(positive, called.astype(float), [0.5])
        figure = values_at_prevalence(point, 0.2)["positive_value"]
        held += figure.low <= truth <= figure.high
    assert held >= 0.95 * 300 - 9


def test_probabilities_move_by_the_log_odds_of_the_prevalence() -> None:
    assert shift_prevalence([0.5, 0.2], 0.5, 0.1) == pytest.approx([0.1, 0.25 / 9 / (1 + 0.25 / 9)])
    assert shift_prevalence(0.37, 0.4, 0.4) == pytest.approx(0.37)


def test_nobody_called_and_an_impossible_prevalence() -> None:
    (point,) = evaluate_thresholds([True, False], [0.1, 0.2], [0.9])
    assert values_at_prevalence(point, 0.3)["positive_value"].value is None
    assert values_at_prevalence(point, 0.3)["negative_value"].value == pytest.approx(0.7)
    with pytest.raises(EvaluationError, match=r"between 0 and 1"):
        values_at_prevalence(point, 1.0)
