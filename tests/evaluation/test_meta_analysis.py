"""The mean over cohorts against published numbers, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm, t

from core.errors import EvaluationError
from core.evaluation.intervals import auroc_interval, measure_auroc
from core.evaluation.meta_analysis import pool_aurocs, pool_random_effects

BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
        (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
        (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
    ],
    dtype=float,
)  # fmt: skip
"""Thirteen trials of the BCG vaccine (Colditz 1994): ill and well of the vaccinated, ill and well of the others."""


def bcg_log_risks() -> tuple[np.ndarray, np.ndarray]:
    ill, well, ill_other, well_other = BCG.T
    vaccinated, other = ill + well, ill_other + well_other
    ratio = np.log(ill / vaccinated) - np.log(ill_other / other)
    return ratio, 1 / ill - 1 / vaccinated + 1 / ill_other - 1 / other


def test_the_bcg_trials_give_what_other_programs_give() -> None:
    """statsmodels 0.14 (combine_effects, method_re="iterated", use_t=True) on the same data."""
    found = pool_random_effects(*bcg_log_risks())
    assert found.tau_squared == pytest.approx(0.318068452, abs=1e-8)
    assert found.mean == pytest.approx(-0.714968153, abs=1e-8)
    assert (found.low, found.high) == pytest.approx((-1.10909838, -0.32083793), abs=1e-7)
    # Q = 152.23 with 12 degrees of freedom: I^2 = 92.12%.
    assert found.i_squared == pytest.approx(0.9212, abs=5e-5)


def test_equal_variances_give_the_interval_of_a_plain_mean() -> None:
    """With one variance for all, tau^2 is the sample variance less that one, and the interval is Student's."""
    values = np.array([0.3, 1.9, 1.1, 0.6, 2.4])
    found = pool_random_effects(values, np.full(5, 0.1))
    assert found.tau_squared == pytest.approx(values.var(ddof=1) - 0.1)
    low, high = t.interval(0.95, 4, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(5))
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_the_cisapride_trials_give_the_published_prediction_interval() -> None:
    """Odds ratios of 13 trials (Hartung and Knapp 2001); pimeta 1.1.4 says 0.533 to 33.692, by 25,000 random draws."""
    better = np.array([15, 12, 29, 42, 14, 44, 14, 29, 10, 17, 38, 19, 21]) + 0.5
    treated = np.array([16, 16, 34, 56, 22, 54, 17, 58, 14, 26, 44, 29, 38]) + 1
    better_other = np.array([9, 1, 18, 31, 6, 17, 7, 23, 3, 6, 12, 22, 19]) + 0.5
    other = np.array([16, 16, 34, 56, 22, 55, 15, 58, 15, 27, 45, 30, 38]) + 1
    worse, worse_other = treated - better, other - better_other
    ratios = np.log(better * worse_other / (worse * better_other))
    assert ratios[:3] == pytest.approx([2.098986, 3.357026, 1.565232], abs=1e-6)
    found = pool_random_effects(ratios, 1 / better + 1 / worse + 1 / better_other + 1 / worse_other)
    assert found.predicted is not None
    # Random draws leave an uncertainty of about 0.02 in their limits.
    assert found.predicted == pytest.approx((np.log(0.533), np.log(33.692)), abs=0.04)


def test_cohorts_that_agree_by_chance_do_not_claim_more_than_their_errors_allow() -> None:
    found = pool_random_effects([1.0, 1.0, 1.0], [0.04, 0.04, 0.04])
    assert found.tau_squared == 0.0
    assert found.i_squared == 0.0
    assert found.high - found.mean == pytest.approx(t.ppf(0.975, 2) * np.sqrt(0.04 / 3))


def test_the_intervals_cover_a_true_mean_and_a_further_cohort() -> None:
    generator = np.random.default_rng(5)
    rounds, mean, tau = 250, 1.2, 0.3
    held = predicted = 0
    for _ in range(rounds):
        variances = generator.uniform(0.05, 0.4, 6)
        values = generator.normal(mean, np.sqrt(tau**2 + variances))
        found = pool_random_effects(values, variances)
        held += found.low <= mean <= found.high
        assert found.predicted is not None
        predicted += found.predicted[0] <= generator.normal(mean, tau) <= found.predicted[1]
    assert 0.92 <= held / rounds <= 0.99
    assert 0.90 <= predicted / rounds <= 0.99


@pytest.mark.parametrize(("values", "variances"), [([1.0], [0.1]), ([1.0, 2.0], [0.1, 0.0])])
def test_what_cannot_be_pooled_is_refused(values: list[float], variances: list[float]) -> None:
    with pytest.raises(EvaluationError, match="two of them"):
        pool_random_effects(values, variances)


def scores_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    positive = np.arange(count) % 2 == 1
    return positive, np.random.default_rng(seed).normal(size=count) + 1.2 * positive


def test_a_cohorts_logit_and_variance_are_those_of_its_interval() -> None:
    positive, scores = scores_of(40, 1)
    found, (value, low, high) = measure_auroc(positive, scores), auroc_interval(positive, scores)
    half = norm.ppf(0.975) * np.sqrt(found.variance)
    assert found.value == value
    assert (expit(found.logit - half), expit(found.logit + half)) == pytest.approx((low, high))
    perfect = measure_auroc([False, False, True, True], [0.1, 0.2, 0.8, 0.9])
    assert perfect.value == 1.0
    assert np.isfinite(perfect.logit)


def test_a_prediction_interval_needs_three_cohorts_and_is_unstable_under_five() -> None:
    cohorts = [measure_auroc(*scores_of(40, seed)) for seed in range(5)]
    two, three, five = (pool_aurocs(cohorts[:count]) for count in (2, 3, 5))
    assert two.mean.low is not None
    assert (two.prediction.low, two.unstable) == (None, False)
    assert "fewer than 3" in two.prediction.reason
    assert (three.unstable, five.unstable) == (True, False)
    assert five.prediction.low < five.mean.low < five.mean.value < five.mean.high < five.prediction.high
    alone = pool_aurocs(cohorts[:1])
    assert alone.mean.value is None
    assert "there is 1" in alone.mean.reason
