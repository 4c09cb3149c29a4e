"""Every figure against scikit-learn, plain and weighted: the bootstrap rests on the weights."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as oracle

from core.evaluation import metrics

GENERATOR = np.random.default_rng(3)
LABELS = GENERATOR.integers(0, 2, 60)
POSITIVE = LABELS == 1
PROBABILITIES = np.clip(np.round(0.5 * GENERATOR.random(60) + 0.4 * LABELS, 2), 0.01, 0.99)
PREDICTED = (PROBABILITIES >= 0.5).astype(np.int64)
WEIGHTS = np.stack([np.ones(60), GENERATOR.integers(0, 4, 60), GENERATOR.integers(0, 3, 60)]).astype(float)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda w: metrics.auroc(POSITIVE, PROBABILITIES, w), lambda w: oracle.roc_auc_score(LABELS, PROBABILITIES, sample_weight=w)),
        (lambda w: metrics.average_precision(POSITIVE, PROBABILITIES, w), lambda w: oracle.average_precision_score(LABELS, PROBABILITIES, sample_weight=w)),
        (lambda w: metrics.balanced_accuracy(LABELS, PREDICTED, w), lambda w: oracle.balanced_accuracy_score(LABELS, PREDICTED, sample_weight=w)),
        (lambda w: metrics.weighted_mean((LABELS == PREDICTED).astype(float), w), lambda w: oracle.accuracy_score(LABELS, PREDICTED, sample_weight=w)),
        (lambda w: metrics.brier_score(POSITIVE, PROBABILITIES, w), lambda w: oracle.brier_score_loss(LABELS, PROBABILITIES, sample_weight=w)),
        (lambda w: metrics.log_loss(POSITIVE, PROBABILITIES, w), lambda w: oracle.log_loss(LABELS, PROBABILITIES, sample_weight=w)),
    ],
    ids=["auroc", "average_precision", "balanced_accuracy", "accuracy", "brier", "log_loss"],
)  # fmt: skip
def test_agrees_with_scikit_learn(
    ours: Callable[[np.ndarray], np.ndarray], theirs: Callable[[np.ndarray], float]
) -> None:
    np.testing.assert_allclose(ours(WEIGHTS), [theirs(row) for row in WEIGHTS], rtol=1e-10)


def test_macro_auroc_agrees_with_scikit_learn() -> None:
    labels = GENERATOR.integers(0, 3, 80)
    probabilities = GENERATOR.dirichlet(np.ones(3), 80) + 0.3 * np.eye(3)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = oracle.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    np.testing.assert_allclose(metrics.macro_auroc(labels, probabilities, np.ones((1, 80))), [expected])


def test_calibration_error_of_two_bins_by_hand() -> None:
    probabilities = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    positive = np.array([False, True, True, True, False])
    # Bin 0: promised 0.05, observed 0.5, two rows. Bin 9: promised 2.9 / 3, observed 2 / 3, three rows.
    expected = (2 * 0.45 + 3 * (2.9 / 3 - 2 / 3)) / 5
    np.testing.assert_allclose(metrics.calibration_error(positive, probabilities, np.ones((1, 5))), [expected])


def test_a_weighting_without_a_class_is_undefined_not_wrong() -> None:
    only_positive = POSITIVE.astype(float)[None, :]
    assert np.isnan(metrics.auroc(POSITIVE, PROBABILITIES, only_positive)[0])
