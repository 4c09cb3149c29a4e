import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import average_precision_score

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.influence import (
    average_precision_interval,
    cluster_influence,
    mean_interval,
    mean_share_interval,
    share_interval,
)
from core.evaluation.intervals import agresti_coull_interval, auroc_influence, auroc_interval, wilson_interval

GENERATOR = np.random.default_rng(5)
POSITIVE = np.arange(60) < 30
SCORES = np.round(GENERATOR.normal(size=60) + POSITIVE, 1)


def test_average_precision_and_its_influence_against_small_changes_of_weight() -> None:
    value, low, high = average_precision_interval(POSITIVE, SCORES)
    assert value == pytest.approx(average_precision_score(POSITIVE, SCORES))
    nudged = np.ones((60, 60)) + 1e-6 * np.eye(60)
    plain = metrics.average_precision(POSITIVE, SCORES, np.ones((1, 60)))[0]
    slopes = (metrics.average_precision(POSITIVE, SCORES, nudged) - plain) / 1e-6
    variance = (cluster_influence(slopes, POSITIVE)[0] ** 2).sum()
    half = t.ppf(0.975, 29) * np.sqrt(variance) / (value * (1 - value))
    logits = np.log(value / (1 - value)) + np.array([-half, half])
    np.testing.assert_allclose((low, high), 1 / (1 + np.exp(-logits)), atol=1e-4)


def test_perfect_ranking_of_few_patients_does_not_claim_certainty() -> None:
    value, low, high = average_precision_interval(POSITIVE, POSITIVE.astype(float))
    assert (value, high) == (1.0, 1.0)
    assert 0.7 < low < 0.97


def test_auroc_influence_adds_up_to_delongs_variance() -> None:
    value, low, high = auroc_interval(POSITIVE, SCORES)
    error = np.sqrt((cluster_influence(auroc_influence(POSITIVE, SCORES), POSITIVE)[0] ** 2).sum())
    half = 1.959964 * error / (value * (1 - value))
    logits = np.log(value / (1 - value)) + np.array([-half, half])
    np.testing.assert_allclose((low, high), 1 / (1 + np.exp(-logits)), rtol=1e-6)


def test_a_symmetric_loss_has_students_interval_and_a_skewed_one_leans_upwards() -> None:
    symmetric = np.tile([1.0, 2.0, 3.0], 20)
    value, low, high = mean_interval(symmetric, np.zeros(60, int))
    half = t.ppf(0.975, 59) * symmetric.std(ddof=1) / np.sqrt(60)
    assert (value, low, high) == pytest.approx((2.0, 2 - half, 2 + half))
    value, low, high = mean_interval(GENERATOR.lognormal(0, 1.5, 60), np.zeros(60, int))
    assert high - value > 1.5 * (value - low)
    assert low >= 0


def test_losses_that_are_all_alike_and_a_single_patient_have_no_interval() -> None:
    with pytest.raises(EvaluationError, match="same loss"):
        mean_interval(np.full(8, 0.25), np.arange(8) % 2)
    with pytest.raises(EvaluationError, match="Class 1 has one patient"):
        mean_interval(np.arange(4.0), np.array([0, 0, 0, 1]))


def test_slices_that_repeat_a_patient_add_nothing() -> None:
    hits = (GENERATOR.random(60) < 0.7).astype(float)
    patients = np.repeat(np.arange(60), 8)
    for interval in (share_interval, mean_interval):
        alone, repeated = interval(hits, POSITIVE), interval(np.repeat(hits, 8), np.repeat(POSITIVE, 8), patients)
        assert repeated[0] == pytest.approx(alone[0])
        assert repeated[2] - repeated[1] == pytest.approx(alone[2] - alone[1], rel=0.1)
    alone = average_precision_interval(POSITIVE, SCORES)
    repeated = average_precision_interval(np.repeat(POSITIVE, 8), np.repeat(SCORES, 8), patients)
    assert repeated == pytest.approx(alone)


def test_independent_slices_count_for_more_than_their_patients_but_not_for_more_than_they_are() -> None:
    hits = (np.random.default_rng(1).random(400) < 0.5).astype(float)
    patients = np.repeat(np.arange(40), 10)
    value, low, high = share_interval(hits, patients % 2, patients)
    of_slices = np.diff(wilson_interval(400 * value, 400))[0]
    assert of_slices <= high - low < 0.6 * np.diff(wilson_interval(40 * value, 40))[0]


def test_a_share_of_all_or_none_is_worth_its_patients() -> None:
    patients = np.repeat(np.arange(10), 20)
    assert share_interval(np.ones(200), patients % 2, patients)[1:] == pytest.approx(agresti_coull_interval(10, 10))


def test_mean_of_two_shares_joins_their_limits() -> None:
    hits = np.r_[np.ones(27), np.zeros(3), np.ones(18), np.zeros(12)]
    value, low, high = mean_share_interval(hits, POSITIVE)
    one, other = agresti_coull_interval(27, 30), agresti_coull_interval(18, 30)
    assert value == pytest.approx(0.75)
    assert low == pytest.approx(0.75 - np.hypot(0.9 - one[0], 0.6 - other[0]) / 2)
    assert high == pytest.approx(0.75 + np.hypot(one[1] - 0.9, other[1] - 0.6) / 2)
    assert mean_share_interval(np.ones(60), POSITIVE)[2] == 1.0


def test_a_single_miss_of_clustered_rows_is_no_less_sure_than_whole_clusters_are() -> None:
    patients = np.repeat(np.arange(24), 2)
    hits = np.ones(48)
    hits[5] = 0
    value, low, high = share_interval(hits, np.zeros(48, int), patients)
    assert (low, high) == pytest.approx(agresti_coull_interval(value * 24, 24, 0.95))
    hits[4] = 0  # the whole patient: as one miss of 24
    value, low, high = share_interval(hits, np.zeros(48, int), patients)
    assert (low, high) == pytest.approx(agresti_coull_interval(23, 24, 0.95))


def test_no_brier_score_is_above_one_and_its_limit_is_no_further_than_wilsons() -> None:
    """Four patients, one of them badly wrong: Hall's limit alone lies far above 1."""
    losses, labels = [0.01, 0.02, 0.01, 0.9], [0, 0, 1, 1]
    assert mean_interval(losses, labels)[2] > 1
    value, low, high = mean_interval(losses, labels, most=1.0)
    assert 0 <= low <= value <= high < 1
    assert high == pytest.approx(wilson_interval(4 * value, 4)[1])
