"""Conformal sets against MAPIE, against the promise, and against the smallest sets that keep it."""

import numpy as np
import pytest
from scipy.special import expit, ndtri
from scipy.stats import beta
from sklearn.base import BaseEstimator, ClassifierMixin

from core.errors import EvaluationError
from core.evaluation.conformal import (
    ConformalRule,
    evaluate_sets,
    fit_conformal,
    ideal_set_size,
    predict_sets,
    sets_left_out,
)

NAMES = ("unmethylated", "methylated")


class Known(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier whose only feature is the probability of class 1."""

    def __init__(self) -> None:
        self.classes_ = np.array([0, 1])

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "Known":
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return np.column_stack([1 - features[:, 0], features[:, 0]])

    def predict(self, features: np.ndarray) -> np.ndarray:
        return (features[:, 0] >= 0.5).astype(int)


def sample(generator: np.random.Generator, n: int, area: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 2
    distance = np.sqrt(2) * ndtri(area)
    positive = expit(distance * (generator.normal(size=n) + distance * (labels - 0.5)))
    return labels, np.column_stack([1 - positive, positive])


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset:UserWarning")
@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_sets_agree_with_mapie_class_by_class(level: float) -> None:
    from mapie.classification import SplitConformalClassifier

    generator = np.random.default_rng(4)
    labels, probabilities = sample(generator, 123, 0.8)
    _, new = sample(generator, 400, 0.8)
    ours = predict_sets(fit_conformal(labels, probabilities, level), new)
    for index in (0, 1):
        of_class = labels == index
        # Calibrated on one class alone, MAPIE's set holds that class exactly where the Mondrian set does.
        oracle = SplitConformalClassifier(Known(), confidence_level=level, prefit=True)
        oracle.conformalize(probabilities[of_class, 1:], labels[of_class])
        theirs = oracle.predict_set(new[:, 1:])[1][:, index, 0]
        assert (ours[:, index] == theirs).all()
    assert 0 < ours.mean() < 1


@pytest.mark.parametrize("area", [0.6, 0.75, 0.9])
def test_each_class_is_covered_as_promised_and_the_sets_are_hardly_larger_than_the_ideal(area: float) -> None:
    generator = np.random.default_rng(1)
    covered, sizes = [], []
    for _ in range(200):
        rule = fit_conformal(*sample(generator, 200, area), level=0.9)
        labels, probabilities = sample(generator, 200, area)
        sets = predict_sets(rule, probabilities)
        figures = evaluate_sets(labels, sets, NAMES)
        covered.append([figure.value for figure in figures.coverage])
        sizes.append(figures.mean_size.value or 0.0)
    assert np.mean(covered, axis=0) == pytest.approx([0.904, 0.904], abs=0.015)
    assert np.mean(sizes) == pytest.approx(ideal_set_size(area), abs=0.04)
    assert np.mean(sizes) < 1.9  # naming both classes always would be 2


def test_the_ideal_size_at_its_ends() -> None:
    assert ideal_set_size(0.5, 0.9) == pytest.approx(1.8)
    assert ideal_set_size(0.999999, 0.9) == pytest.approx(0.9, abs=0.01)
    assert ideal_set_size(0.62) > 1.6


def test_leaving_one_out_is_the_same_as_calibrating_on_the_others() -> None:
    labels, probabilities = sample(np.random.default_rng(2), 45, 0.75)
    probabilities = np.round(probabilities, 2)  # ties
    sets = sets_left_out(labels, probabilities, 0.8)
    for one in range(45):
        others = np.arange(45) != one
        rule = fit_conformal(labels[others], probabilities[others], 0.8)
        assert (predict_sets(rule, probabilities[one : one + 1])[0] == sets[one]).all(), one


def test_a_class_with_too_few_patients_belongs_to_every_set() -> None:
    labels, probabilities = sample(np.random.default_rng(3), 16, 0.9)
    rule = fit_conformal(labels, probabilities, 0.9)
    assert rule.limits == (None, None)
    assert rule.counts == (8, 8)
    assert predict_sets(rule, probabilities).all()
    assert sets_left_out(labels, probabilities, 0.9).all()


def test_a_patient_unlike_all_others_gets_an_empty_set() -> None:
    rule = ConformalRule(level=0.9, limits=(0.6, 0.7), counts=(50, 50))
    sets = predict_sets(rule, [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    assert sets.tolist() == [[False, False], [True, False], [False, True]]
    figures = evaluate_sets([0, 0, 0], sets, NAMES)
    assert (figures.empty, figures.both, figures.told.n) == (1, 0, 3)
    assert figures.right_when_told.value == 0.5
    assert figures.undecided.value == pytest.approx(1 / 3)
    assert figures.mean_size.value == pytest.approx(2 / 3)
    assert figures.mean_size.low is not None
    assert figures.mean_size.high is not None
    assert figures.mean_size.low < 2 / 3 < figures.mean_size.high
    assert figures.coverage[1].value is None


def test_an_impossible_level_is_refused() -> None:
    with pytest.raises(EvaluationError, match="level of 1"):
        fit_conformal([0, 1], [[0.5, 0.5], [0.5, 0.5]], 1.0)


def test_the_limit_counts_the_new_patient_too() -> None:
    own = np.arange(1, 20) / 20  # of 19 patients and a new one, two of twenty may be left out at 90%
    rule = fit_conformal(np.ones(19, int), np.column_stack([1 - own, own]), 0.9)
    assert rule.limits == (None, 0.1)


def test_sets_that_are_all_alike_have_a_size_without_an_interval() -> None:
    figures = evaluate_sets([0, 1, 0, 1], np.ones((4, 2), bool), NAMES)
    assert (figures.mean_size.value, figures.mean_size.low, figures.mean_size.n) == (2.0, None, 4)
    assert figures.undecided.value == 1.0


def test_a_rule_states_the_range_of_its_own_coverage_and_promises_nothing_below_nine_patients() -> None:
    rule = ConformalRule(level=0.9, limits=(None, 0.2), counts=(8, 39))
    none, ends = rule.coverage_ranges()
    assert none is None
    assert ends == pytest.approx(beta(36, 4).ppf([0.025, 0.975]))
    first, second = rule.describe_promises(exact=True)
    assert first.startswith("no promise: 8 calibration patients")
    assert second.startswith("covers 0.791 to 0.971 of them (Beta(36, 4)")
    first, second = rule.describe_promises(exact=False)
    assert first.startswith("no promise")
    assert second.startswith("covers about 90% of them on average; no range is promised")
    # The mean coverage of the rules is at least the level.
    generator, held = np.random.default_rng(0), []
    for _ in range(2000):
        own = generator.random(39)
        limit = fit_conformal(np.ones(39, int), np.column_stack([1 - own, own])).limits[1]
        held.append(1 - limit)
    assert np.quantile(held, [0.025, 0.975]) == pytest.approx(ends, abs=0.02)
