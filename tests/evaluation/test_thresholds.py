import numpy as np
import pytest
from sklearn import metrics as oracle

from core.evaluation.selection import WITHHELD
from core.evaluation.thresholds import decision_curve, decision_words, evaluate_thresholds, values_at_prevalence

GENERATOR = np.random.default_rng(6)
LABELS = np.arange(200) % 2
PROBABILITIES = np.clip(GENERATOR.normal(0.4 + 0.2 * LABELS, 0.2), 0.01, 0.99)


def test_shares_agree_with_scikit_learn() -> None:
    (point,) = evaluate_thresholds(LABELS == 1, PROBABILITIES, [0.45])
    said = PROBABILITIES >= 0.45
    assert point.sensitivity.value == pytest.approx(oracle.recall_score(LABELS, said))
    assert point.specificity.value == pytest.approx(oracle.recall_score(LABELS, said, pos_label=0))
    assert point.positive_value.value == pytest.approx(oracle.precision_score(LABELS, said))
    assert point.negative_value.value == pytest.approx(oracle.precision_score(LABELS, said, pos_label=0))
    assert (point.sensitivity.n, point.positive_value.n, point.called) == (100, said.sum(), said.sum())
    assert point.positive_value.low < point.positive_value.value < point.positive_value.high  # type: ignore[operator]


def test_a_threshold_above_everybody_calls_nobody_and_says_so() -> None:
    (point,) = evaluate_thresholds(LABELS == 1, PROBABILITIES, [1.0])
    assert point.positive_value.value is None
    assert point.positive_value.reason == "nobody is called positive"
    assert point.negative_value.value == 0.5


def test_net_benefit_by_hand() -> None:
    curve = decision_curve([True, True, False, False], [0.9, 0.3, 0.6, 0.1], [0.25, 0.5])
    # At 0.25: two found, one false alarm worth a third; at 0.5: one found, one false alarm worth one.
    np.testing.assert_allclose(curve.model, [2 / 4 - 1 / 4 / 3, 0.0])
    np.testing.assert_allclose(curve.all, [0.5 - 0.5 / 3, 0.0])
    assert curve.n == 4


def test_a_model_that_calls_everybody_has_the_benefit_of_treating_all() -> None:
    curve = decision_curve(LABELS == 1, np.ones(200))
    np.testing.assert_allclose(curve.model, curve.all)
    assert (curve.low <= curve.model).all()
    assert (curve.high >= curve.model).all()


def test_the_interval_of_the_net_benefit_covers_it() -> None:
    generator = np.random.default_rng(0)
    truth = 0.5 * 0.8413 - 0.5 * 0.1587 * 3 / 7  # scores N(+-1, 1), called from 0 on, at a threshold of 0.3
    held = 0
    for _ in range(400):
        labels = generator.random(150) < 0.5
        called = np.where(generator.normal(2 * labels - 1.0) >= 0, 0.9, 0.1)
        curve = decision_curve(labels, called, [0.3])
        held += curve.low[0] <= truth <= curve.high[0]
    assert 0.91 <= held / 400 <= 0.98


def test_a_model_adds_nothing_where_it_calls_everybody_and_something_where_it_tells_them_apart() -> None:
    told = decision_curve(LABELS == 1, np.where(LABELS == 1, 0.8, 0.2), [0.1, 0.5])
    assert told.gain_low[0] <= 0  # everybody is called at 0.1, as calling all does
    assert told.gain_low[1] > 0.3


def test_noise_is_hardly_ever_said_to_add_something() -> None:
    generator = np.random.default_rng(1)
    claims = 0
    for _ in range(300):
        labels = generator.random(117) < 0.525
        claims += len(decision_curve(labels, 1 / (1 + np.exp(-generator.normal(0.1, 0.5, 117)))).adds) > 0
    assert claims <= 6  # pointwise intervals: 25


def test_the_band_holds_at_all_thresholds_together() -> None:
    generator = np.random.default_rng(2)
    grid = np.linspace(0.2, 0.8, 13)
    many = generator.normal(size=200_000)
    rate = 1 / (1 + np.exp(-many))
    truth = np.array([np.where(rate >= t, rate - (1 - rate) * t / (1 - t), 0).mean() for t in grid])
    held = 0
    for _ in range(300):
        p = 1 / (1 + np.exp(-generator.normal(size=150)))
        curve = decision_curve(generator.random(150) < p, p, grid)
        held += bool(((curve.low <= truth) & (truth <= curve.high)).all())
    assert held / 300 >= 0.93  # pointwise intervals: 0.67


def test_patients_that_chose_the_threshold_give_values_without_intervals() -> None:
    (point,) = evaluate_thresholds(LABELS == 1, PROBABILITIES, [0.45], selected=True)
    for share in (point.sensitivity, *values_at_prevalence(point, 0.3).values()):
        assert (share.low, share.high, share.reason) == (None, None, WITHHELD)
        assert share.value is not None
    curve = decision_curve(LABELS == 1, PROBABILITIES, selected=True)
    assert np.isnan(curve.low).all()
    assert len(curve.adds) == 0
    assert "cannot be said: no interval: these patients chose" in decision_words(curve)
