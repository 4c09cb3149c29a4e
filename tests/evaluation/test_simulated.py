import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from core.evaluation.simulated import _areas, best_of_noise, repeat_evaluation, simulate_patients


def test_patients_have_the_auroc_they_were_drawn_with_and_are_calibrated() -> None:
    labels, logits = simulate_patients(0.8, 20_000, np.random.default_rng(0))
    odds = logits[:, 1] - logits[:, 0]
    assert roc_auc_score(labels, odds) == pytest.approx(0.8, abs=0.01)
    assert labels.mean() == pytest.approx(0.525)
    sure = expit(odds) > 0.8
    assert labels[sure].mean() == pytest.approx(expit(odds)[sure].mean(), abs=0.02)


def test_overconfidence_keeps_the_order_and_not_the_promise() -> None:
    labels, logits = simulate_patients(0.7, 20_000, np.random.default_rng(0), sharpness=3)
    odds = logits[:, 1] - logits[:, 0]
    assert roc_auc_score(labels, odds) == pytest.approx(0.7, abs=0.01)
    assert labels[expit(odds) > 0.9].mean() < 0.8


def test_repeated_studies_scatter_around_the_truth_and_their_intervals_hold_it() -> None:
    studies = repeat_evaluation(0.7, 60, 300, np.random.default_rng(1))
    assert studies[:, 0].mean() == pytest.approx(0.7, abs=0.01)
    assert 0.92 <= ((studies[:, 1] <= 0.7) & (studies[:, 2] >= 0.7)).mean() <= 0.985


def test_areas_agree_with_scikit_learn() -> None:
    scores = np.random.default_rng(2).normal(size=(2, 3, 17))
    positive = np.arange(17) < 8
    expected = [[roc_auc_score(positive, row) for row in block] for block in scores]
    np.testing.assert_allclose(_areas(scores, positive), expected)


def test_the_best_of_30_epochs_of_noise_on_12_patients_looks_good_and_is_nothing() -> None:
    unrelated = best_of_noise(12, 30, 400, np.random.default_rng(3), correlation=0.0)
    related = best_of_noise(12, 30, 400, np.random.default_rng(3), correlation=0.95)
    # Between these lies what was seen: a mean of 0.70 to 0.84.
    assert 0.80 < unrelated.chosen.mean() < 0.88
    assert 0.62 < related.chosen.mean() < 0.75
    assert unrelated.untouched.mean() == pytest.approx(0.5, abs=0.03)
    assert unrelated.learning_curve.shape == (30,)
    assert unrelated.learning_curve.max() == unrelated.chosen[0]


def test_more_patients_leave_less_to_chance() -> None:
    few, many = (best_of_noise(n, 20, 100, np.random.default_rng(4)).chosen.mean() for n in (12, 200))
    assert many < few - 0.1
