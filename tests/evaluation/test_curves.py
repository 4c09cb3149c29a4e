import numpy as np
from sklearn import metrics as oracle

from core.evaluation.curves import confusion_matrix, precision_recall_curve, reliability_bins, roc_curve

GENERATOR = np.random.default_rng(8)
LABELS = GENERATOR.integers(0, 2, 50)
SCORES = np.round(GENERATOR.random(50) + 0.4 * LABELS, 1)


def test_roc_curve_agrees_with_scikit_learn() -> None:
    curve = roc_curve(LABELS == 1, SCORES)
    false, true, thresholds = oracle.roc_curve(LABELS, SCORES, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, false)
    np.testing.assert_allclose(curve.y, true)
    np.testing.assert_allclose(curve.thresholds, thresholds)


def test_precision_recall_curve_agrees_with_scikit_learn() -> None:
    curve = precision_recall_curve(LABELS == 1, SCORES)
    precision, recall, _ = oracle.precision_recall_curve(LABELS, SCORES)
    np.testing.assert_allclose(curve.y[1:], precision[-2::-1])
    np.testing.assert_allclose(curve.x[1:], recall[-2::-1])
    assert curve.x[0] == 0


def test_confusion_matrix_agrees_with_scikit_learn() -> None:
    said = (SCORES > 0.7).astype(int)
    assert confusion_matrix(LABELS, said, 2).tolist() == oracle.confusion_matrix(LABELS, said).tolist()
    assert confusion_matrix([0], [0], 3).shape == (3, 3)


def test_reliability_bins_hold_every_row_and_their_intervals_the_share() -> None:
    probabilities = np.array([0.0, 0.05, 0.55, 0.58, 1.0])
    bins = reliability_bins([False, True, True, False, True], probabilities)
    assert bins.counts.tolist() == [2, 2, 1]
    np.testing.assert_allclose(bins.promised, [0.025, 0.565, 1.0])
    np.testing.assert_allclose(bins.observed, [0.5, 0.5, 1.0])
    assert ((bins.low <= bins.observed) & (bins.observed <= bins.high)).all()
    assert [one.low for one in bins.figures] == bins.low.tolist()


def test_bins_of_patients_that_chose_something_have_no_intervals() -> None:
    bins = reliability_bins([False, True], [0.1, 0.9], selected=True)
    assert [(one.value, one.low, one.high) for one in bins.figures] == [(0, None, None), (1, None, None)]
    assert all("chose the epoch" in one.reason for one in bins.figures)


def test_a_class_that_is_absent_leaves_its_rate_at_zero() -> None:
    curve = roc_curve([True, True], [0.2, 0.4])
    assert curve.x.tolist() == [0, 0, 0]
    assert curve.y.tolist() == [0, 0.5, 1]
