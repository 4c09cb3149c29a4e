import numpy as np
import pytest

from core.evaluation.intervals import auroc_interval
from core.evaluation.paired import auroc_difference, mean_difference

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
