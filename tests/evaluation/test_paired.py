import numpy as np
import pytest

from core.evaluation.figure import ALL_EQUAL
from core.evaluation.intervals import auroc_interval
from core.evaluation.paired import auroc_difference, bootstrap_auroc_difference, mean_difference

GENERATOR = np.random.default_rng(9)
POSITIVE = np.arange(100) < 52
SHARED = GENERATOR.normal(size=100)
ONE = SHARED + 1.0 * POSITIVE
OTHER = SHARED + 0.3 * GENERATOR.normal(size=100) + 0.7 * POSITIVE


def test_difference_of_two_alike_models_is_narrower_than_of_two_strangers() -> None:
    alike = auroc_difference(POSITIVE, ONE, OTHER)
    stranger = auroc_difference(POSITIVE, ONE, GENERATOR.normal(size=100) + 0.7 * POSITIVE)
    assert alike.value == pytest.approx(auroc_interval(POSITIVE, ONE)[0] - auroc_interval(POSITIVE, OTHER)[0])
    assert alike.low is not None
    assert alike.high is not None
    assert stranger.low is not None
    assert stranger.high is not None
    assert alike.high - alike.low < 0.6 * (stranger.high - stranger.low)
    assert alike.n == 100


def test_swapping_the_models_turns_the_interval_round() -> None:
    forth, back = auroc_difference(POSITIVE, ONE, OTHER), auroc_difference(POSITIVE, OTHER, ONE)
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))  # type: ignore[operator]


def test_two_perfect_models_do_not_claim_to_be_equal_for_certain() -> None:
    both = auroc_difference(POSITIVE, POSITIVE + 0.0, 2.0 * POSITIVE)
    assert both.value == 0
    assert both.low is not None
    assert both.high is not None
    assert -0.2 < both.low < -0.005
    assert 0.005 < both.high < 0.2


def test_slices_of_a_patient_add_nothing() -> None:
    alone = auroc_difference(POSITIVE, ONE, OTHER)
    patients = np.repeat(np.arange(100), 5)
    repeated = auroc_difference(np.repeat(POSITIVE, 5), np.repeat(ONE, 5), np.repeat(OTHER, 5), patients)
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high), rel=0.05)


def test_difference_of_losses_agrees_with_students_paired_test() -> None:
    from scipy.stats import ttest_rel

    losses, others = GENERATOR.random(100), GENERATOR.random(100)
    found = mean_difference(losses, others, np.zeros(100, int))
    expected = ttest_rel(losses, others).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    same = mean_difference(losses, losses + 0.5, np.zeros(100, int))
    assert same.value == pytest.approx(-0.5)


def test_the_bootstrap_knows_that_the_patients_are_the_same() -> None:
    paired = bootstrap_auroc_difference(POSITIVE, ONE, OTHER)
    exact = auroc_difference(POSITIVE, ONE, OTHER)
    assert paired.value == pytest.approx(exact.value)
    assert paired.low == pytest.approx(exact.low, abs=0.02)
    assert paired.high == pytest.approx(exact.high, abs=0.02)
    shuffled = np.r_[GENERATOR.permutation(52), 52 + GENERATOR.permutation(48)]
    unpaired = bootstrap_auroc_difference(POSITIVE, ONE, OTHER[shuffled])
    assert unpaired.value == pytest.approx(paired.value)
    assert paired.low is not None
    assert paired.high is not None
    assert unpaired.low is not None
    assert unpaired.high is not None
    assert unpaired.high - unpaired.low > 1.5 * (paired.high - paired.low)


def test_the_bootstrap_gives_no_interval_where_it_knows_nothing() -> None:
    same = bootstrap_auroc_difference(POSITIVE, ONE, ONE)
    assert (same.value, same.low) == (0, None)
    assert "same figure" in same.reason
    one_class = bootstrap_auroc_difference(np.ones(5, bool), np.arange(5), np.arange(5))
    assert one_class.value is None
    one_each = bootstrap_auroc_difference(np.arange(5) == 0, np.arange(5), np.arange(5)[::-1])
    assert one_each.value == -1
    assert "two of each class" in one_each.reason


def test_a_wider_promise_is_a_wider_interval() -> None:
    narrow, wide = (bootstrap_auroc_difference(POSITIVE, ONE, OTHER, confidence=level) for level in (0.95, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high  # type: ignore[operator]


def test_two_models_that_rank_nobody_have_no_interval() -> None:
    figure = auroc_difference(POSITIVE, np.zeros(100), np.ones(100))
    assert (figure.value, figure.low, figure.high, figure.reason) == (0.0, None, None, ALL_EQUAL)
