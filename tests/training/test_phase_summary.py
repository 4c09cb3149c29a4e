import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from core.training.phase_summary import count_probabilities, summarise_phase


def test_figures_of_a_phase() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 0, 1, 1], 3)
    patients = np.repeat(["e", "d", "c", "b", "a"], 3)
    logits = generator.normal(size=(15, 2)).astype(np.float32)
    summary = summarise_phase(labels, logits, patients, 1)
    means = logits.reshape(5, 3, 2).mean(axis=1)
    truth = labels[::3]
    assert summary.loss == pytest.approx(-log_softmax(logits, axis=1)[np.arange(15), labels].mean(), rel=1e-5)
    assert summary.accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())
    assert summary.patient_accuracy == pytest.approx((means.argmax(axis=1) == truth).mean())
    assert summary.patient_auroc == pytest.approx(roc_auc_score(truth, means[:, 1] - means[:, 0]))
    assert summary.patient_auroc_low is not None


def test_slices_of_a_patient_count_as_one_in_the_intervals() -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(40) % 2
    logits = generator.normal(size=(40, 2)).astype(np.float32) + 0.8 * np.eye(2, dtype=np.float32)[labels]
    once = summarise_phase(labels, logits, np.arange(40).astype(str), 1)
    fivefold = summarise_phase(
        np.repeat(labels, 5), np.repeat(logits, 5, axis=0), np.repeat(np.arange(40), 5).astype(str), 1
    )
    for name in ("loss_interval", "accuracy_interval"):
        value, low, high = getattr(once, name.partition("_")[0]), *getattr(once, name)
        assert low < value < high
        # Copies of a slice tell nothing new: the interval must not shrink by the root of five.
        assert getattr(fivefold, name) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_one_class_has_no_auroc_and_one_patient_of_a_class_no_interval() -> None:
    logits = np.eye(2, dtype=np.float32)[[0, 1, 0]]
    assert summarise_phase(np.zeros(3, int), logits, np.array(["a", "b", "c"]), 1).patient_auroc is None
    lonely = summarise_phase(np.array([0, 1, 0]), logits, np.array(["a", "b", "c"]), 1)
    assert (lonely.patient_auroc, lonely.patient_auroc_low) == (1.0, None)
    assert lonely.loss_interval == (None, None)


def test_three_classes_have_a_mean_auroc() -> None:
    labels = np.arange(9) % 3
    patients = np.arange(9).astype(str)
    summary = summarise_phase(labels, 5 * np.eye(3, dtype=np.float32)[labels], patients, 1)
    assert (summary.patient_auroc, summary.patient_auroc_low) == (1.0, None)
    assert summary.accuracy == 1.0


def test_probabilities_are_counted_by_true_class() -> None:
    logits = np.array([[0.0, 0.0], [0.0, 50.0], [0.0, -50.0], [0.0, 1.0]], np.float32)
    assert count_probabilities(np.array([0, 1, 1, 1]), logits, 1, bins=4) == ((0, 0, 1, 0), (1, 0, 1, 1))
    assert count_probabilities(np.array([0, 1, 1, 1]), logits, 0, bins=4) == ((0, 0, 1, 0), (1, 1, 0, 1))
    three = summarise_phase(np.array([0, 0]), np.eye(3, dtype=np.float32)[[0, 2]], np.array(["a", "b"]), 1)
    assert [sum(counts) for counts in three.histogram] == [2, 0, 0]
    assert three.predicted == (1, 0, 1)


def test_an_epoch_that_ranks_nobody_has_no_interval() -> None:
    summary = summarise_phase(np.arange(20) % 2, np.zeros((20, 2), np.float32), np.arange(20).astype(str), 1)
    assert (summary.patient_auroc, summary.patient_auroc_low, summary.patient_auroc_high) == (0.5, None, None)
