import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.intervals import (
    agresti_coull_interval,
    auroc_interval,
    bootstrap_interval,
    bootstrap_weights,
    look_confidence,
    wilson_interval,
)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (3, 10), (53, 117)])
def test_wilson_agrees_with_scipy(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson_interval(hits, n), (expected.low, expected.high), atol=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (3, 10), (53, 117)])
def test_agresti_coull_has_wilsons_middle_and_holds_its_interval(hits: int, n: int) -> None:
    low, high = agresti_coull_interval(hits, n)
    inner = wilson_interval(hits, n)
    assert low <= inner[0]
    assert inner[1] <= high
    if low > 0 and high < 1:
        assert (low + high) / 2 == pytest.approx(sum(inner) / 2)


def test_wilson_needs_an_observation() -> None:
    with pytest.raises(EvaluationError, match="at least one"):
        wilson_interval(0, 0)


def _sample(generator: np.random.Generator, n: int, area: float) -> tuple[np.ndarray, np.ndarray]:
    positive = np.arange(n) < round(0.525 * n)
    return positive, generator.standard_normal(n) + np.sqrt(2) * ndtri(area) * positive


def test_delong_variance_against_the_definition() -> None:
    positive, scores = _sample(np.random.default_rng(0), 50, 0.7)
    scores = np.round(scores, 1)  # ties
    yes, no = scores[positive], scores[~positive]
    wins = (yes[:, None] > no[None, :]) + 0.5 * (yes[:, None] == no[None, :])
    area = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / len(yes) + wins.mean(axis=0).var(ddof=1) / len(no)
    half = ndtri(0.975) * np.sqrt(variance) / (area * (1 - area))
    value, low, high = auroc_interval(positive, scores)
    assert value == pytest.approx(roc_auc_score(positive, scores))
    logit = np.log(area / (1 - area))
    assert (low, high) == pytest.approx((1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))))


@pytest.mark.parametrize("n", [40, 117, 585])
@pytest.mark.parametrize("area", [0.5, 0.75, 0.9, 0.98])
def test_auroc_interval_covers_the_truth(n: int, area: float) -> None:
    generator = np.random.default_rng([n, round(100 * area)])
    draws = 500
    covered = 0
    for _ in range(draws):
        _, low, high = auroc_interval(*_sample(generator, n, area))
        covered += low <= area <= high
    # 93 to 98.5 % is wanted; 500 draws know the coverage to about two points.
    assert 0.925 <= covered / draws <= 0.992


def test_perfect_separation_of_few_patients_does_not_claim_certainty() -> None:
    positive = np.arange(40) < 20
    value, low, high = auroc_interval(positive, positive.astype(float))
    assert (value, high) == (1.0, 1.0)
    assert 0.7 < low < 0.9
    value, low, high = auroc_interval(positive, -positive.astype(float))
    assert (value, low) == (0.0, 0.0)
    assert 0.1 < high < 0.3
    assert auroc_interval(np.arange(400) < 200, (np.arange(400) < 200).astype(float))[1] > 0.97


def test_repeated_slices_of_a_patient_add_no_certainty() -> None:
    positive, scores = _sample(np.random.default_rng(5), 40, 0.75)
    alone = auroc_interval(positive, scores)
    patients = np.repeat(np.arange(40), 10)
    clustered = auroc_interval(np.repeat(positive, 10), np.repeat(scores, 10), patients)
    naive = auroc_interval(np.repeat(positive, 10), np.repeat(scores, 10))
    assert clustered == pytest.approx(alone, rel=0.03)
    assert clustered[1] < alone[1]
    assert naive[2] - naive[1] < 0.5 * (alone[2] - alone[1])


def test_two_patients_of_each_class_are_needed() -> None:
    with pytest.raises(EvaluationError, match="1 positive and 3 negative"):
        auroc_interval([True, False, False, False], [1.0, 0.0, 0.2, 0.1])


def test_bootstrap_keeps_the_classes_and_draws_whole_patients() -> None:
    labels = np.repeat([0, 0, 1, 1, 1], 4)
    patients = np.repeat(["a", "b", "c", "d", "e"], 4)
    counts, member = bootstrap_weights(labels, patients, draws=200, seed=1)
    assert counts.shape == (200, 5)
    assert (counts[:, :2].sum(axis=1) == 2).all()
    assert (counts[:, 2:].sum(axis=1) == 3).all()
    assert member.tolist() == np.repeat(np.arange(5), 4).tolist()
    assert (counts == bootstrap_weights(labels, patients, draws=200, seed=1)[0]).all()


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_of_a_mean_is_near_the_normal_interval(method: str) -> None:
    values = np.random.default_rng(2).normal(10, 2, 300)
    low, high = bootstrap_interval(
        lambda weights: metrics.weighted_mean(values, weights), np.zeros(300), method=method  # type: ignore[arg-type]
    )  # fmt: skip
    half = 1.96 * values.std() / np.sqrt(300)
    np.testing.assert_allclose((low, high), (values.mean() - half, values.mean() + half), atol=0.03)


def test_bca_leans_as_scipy_does_for_a_skewed_figure() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(4).lognormal(0, 1, 60)
    ours = bootstrap_interval(lambda weights: metrics.weighted_mean(values, weights), np.zeros(60), draws=8000)
    theirs = bootstrap((values,), np.mean, n_resamples=8000, method="BCa", rng=0).confidence_interval
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), rtol=0.04)


def test_slices_are_resampled_by_patient() -> None:
    generator = np.random.default_rng(6)
    right = generator.random(40) < 0.7
    labels, patients = np.repeat(np.arange(40) % 2, 16), np.repeat(np.arange(40), 16)
    values = np.repeat(right, 16).astype(float)
    by_patient = bootstrap_interval(lambda weights: metrics.weighted_mean(values, weights), labels, patients)
    by_slice = bootstrap_interval(lambda weights: metrics.weighted_mean(values, weights), labels)
    assert by_patient[1] - by_patient[0] > 3 * (by_slice[1] - by_slice[0])


def test_samples_that_cannot_vary_give_no_interval() -> None:
    with pytest.raises(EvaluationError, match="same figure"):
        bootstrap_interval(lambda weights: metrics.weighted_mean(np.ones(20), weights), np.zeros(20))
    with pytest.raises(EvaluationError, match="two of each class"):
        bootstrap_interval(lambda weights: metrics.weighted_mean(np.arange(3.0), weights), np.array([0, 0, 1]))


def test_all_looks_together_err_in_at_most_one_in_twenty() -> None:
    levels = [look_confidence(look) for look in range(1, 21)]
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(0.975)
    # Wider than by Bonferroni: the second model may be put together from the first one's answer.
    assert levels[1] > 1 - 0.05 / 6


@pytest.mark.parametrize("looks", [1, 5, 20])
def test_a_model_put_together_from_all_earlier_answers_is_told_from_chance_as_rarely_as_stated(looks: int) -> None:
    directions = np.random.default_rng(0).standard_normal((4000, looks))
    best = np.sqrt((directions**2).sum(axis=1))  # the standard score along the sum of all answers
    z = ndtri(0.5 + look_confidence(looks) / 2)
    assert (best > z).mean() <= 0.05 / (looks * (looks + 1)) + 0.005
