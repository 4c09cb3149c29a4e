import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from core.evaluation.calibration import calibrate_left_out, choose_threshold, fit_temperature, to_probabilities


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(true_temperature: float) -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (4000, 2))
    labels = (generator.random(4000) < to_probabilities(logits)[:, 1]).astype(int)
    assert fit_temperature(labels, logits * true_temperature) == pytest.approx(true_temperature, rel=0.1)


def test_perfect_separation_of_few_patients_stays_modest() -> None:
    logits = np.array([[2.0, -2.0]] * 6 + [[-2.0, 2.0]] * 6)
    temperature = fit_temperature([0] * 6 + [1] * 6, logits)
    assert 0.2 < temperature < 1
    assert fit_temperature([1, 1], logits[:2]) == 1.0
    assert fit_temperature([], np.empty((0, 2))) == 1.0


def test_threshold_has_the_largest_youden() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 80)
    probabilities = np.clip(0.3 * generator.random(80) + 0.2 * labels, 0, 1)
    threshold = choose_threshold(labels, probabilities)
    false, true, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    called = probabilities >= threshold
    ours = called[labels == 1].mean() - called[labels == 0].mean()
    assert ours == pytest.approx((true - false).max())


def test_equally_good_thresholds_resolve_towards_one_half() -> None:
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == 0.5
    assert choose_threshold([0, 0, 1, 1], [0.6, 0.7, 0.8, 0.9]) == pytest.approx(0.75)
    assert choose_threshold([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]) == 0.5
    assert choose_threshold([1, 1], [0.9, 0.95]) == 0.5


def test_threshold_knows_which_class_is_positive() -> None:
    assert choose_threshold([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], positive_class=0) == pytest.approx(0.25)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=12))
def test_threshold_is_always_a_probability(pairs: list[tuple[bool, float]]) -> None:
    labels, probabilities = [int(label) for label, _ in pairs], [value for _, value in pairs]
    assert 0 <= choose_threshold(labels, probabilities) <= 1


def test_left_out_temperatures_are_fitted_without_the_patients_they_serve() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (300, 2))
    labels = (generator.random(300) < to_probabilities(logits)[:, 1]).astype(int)
    probabilities, temperatures = calibrate_left_out(labels, 3 * logits)
    assert temperatures == pytest.approx(np.full(5, 3.0), rel=0.35)
    assert len(np.unique(temperatures)) == 5
    # Another label for one patient changes everybody's temperature but that of his own fold.
    changed = labels.copy()
    changed[0] = 1 - changed[0]
    assert fit_temperature(changed, 3 * logits) != fit_temperature(labels, 3 * logits)
    assert probabilities.shape == (300, 2)
    spread = [np.isclose(probabilities[0], to_probabilities(3 * logits[:1], t)[0]).all() for t in temperatures]
    assert sum(spread) == 1


def test_each_fold_has_both_classes() -> None:
    _, temperatures = calibrate_left_out([0] * 5 + [1] * 5, np.eye(2)[[0] * 5 + [1] * 5], folds=5)
    assert (temperatures != 1).all()
