import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from core.evaluation.calibration import (
    calibrate_left_out,
    calibration_error_figure,
    choose_threshold,
    fit_temperature,
    measure_calibration,
    to_probabilities,
)


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


def test_calibration_slope_is_that_of_an_unpenalised_logistic_regression() -> None:
    generator = np.random.default_rng(3)
    odds = generator.normal(0.4, 2.0, 120)
    positive = generator.random(120) < expit(0.5 * odds - 0.3)
    found = measure_calibration(positive, odds)
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[:, None], positive)
    assert found["slope"].value == pytest.approx(fitted.coef_[0, 0], abs=1e-5)
    # Calibration in the large: shifted by the intercept, as many are expected as were observed.
    assert expit(odds + found["intercept"].value).sum() == pytest.approx(positive.sum())
    assert found["observed_expected"].value == pytest.approx(positive.sum() / expit(odds).sum())


def test_calibration_figures_cover_the_truth() -> None:
    """Of 300 samples of 60 patients the intervals miss the truth in about 5%: in no more than 9%."""
    generator = np.random.default_rng(4)
    missed = dict.fromkeys(("observed_expected", "intercept", "slope", "ece"), 0)
    for _ in range(300):
        odds = generator.normal(0.0, 1.5, 60)
        figures = measure_calibration(generator.random(60) < expit(odds), odds, slope_anyway=True)
        for name, truth in (("observed_expected", 1.0), ("intercept", 0.0), ("slope", 1.0), ("ece", 0.0)):
            low, high = figures[name].low, figures[name].high
            assert low is not None
            assert high is not None
            missed[name] += not low <= truth <= high
    assert max(missed.values()) <= 27, missed


def test_calibration_that_cannot_be_had_says_why() -> None:
    odds = np.array([-3.0, -2.0, 2.0, 3.0])
    separated = measure_calibration([False, False, True, True], odds, slope_anyway=True)
    assert separated["slope"].value is None
    assert "separated" in separated["slope"].reason
    assert separated["intercept"].value == pytest.approx(0.0, abs=1e-9)
    nobody = measure_calibration([False] * 4, odds)
    assert nobody["observed_expected"].value == 0.0
    assert nobody["observed_expected"].high > 0.5
    assert "one class" in nobody["intercept"].reason
    assert "the same" in measure_calibration([False, True], [0.2, 0.2])["slope"].reason


def test_the_slopes_interval_holds_where_scores_are_skewed() -> None:
    """Log-normal scores: the log odds are no straight line, and Wald's interval alone holds in 0.80."""
    generator = np.random.default_rng(0)
    positive = np.arange(117) < 61

    def draw(truth: np.ndarray) -> np.ndarray:
        return (np.exp(0.6 * generator.standard_normal(len(truth))) - np.exp(0.18)) / 0.79 + 1.19 * truth

    many = np.arange(200_000) < 105_000
    true = measure_calibration(many, draw(many))["slope"].value
    assert true is not None
    held = 0
    for _ in range(400):
        slope = measure_calibration(positive, draw(positive))["slope"]
        assert slope.low is not None
        assert slope.high is not None
        held += slope.low <= true <= slope.high
    assert held >= 0.91 * 400


def test_a_score_that_lies_far_out_separates_nobody() -> None:
    generator = np.random.default_rng(1)
    positive = np.arange(400) < 200
    odds = generator.standard_normal(400) + 2 * positive
    odds[0] = 60
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], positive)
    assert measure_calibration(positive, odds)["slope"].value == pytest.approx(fitted.coef_[0, 0], abs=1e-4)


def test_the_slope_is_withheld_where_discrimination_is_not_shown() -> None:
    generator = np.random.default_rng(6)
    odds = generator.normal(size=60)
    noise = measure_calibration(np.arange(60) < 33, odds)
    assert noise["slope"].value is None
    assert "discrimination is not shown" in noise["slope"].reason
    assert noise["base_rate"].value == pytest.approx(0.55)
    assert measure_calibration(odds > generator.normal(size=60), odds)["slope"].value is not None


def test_the_calibration_error_of_right_probabilities_reaches_down_to_zero_and_a_large_one_does_not() -> None:
    generator = np.random.default_rng(7)
    odds = generator.normal(0, 1.5, 400)
    positive = generator.random(400) < expit(odds)
    right, wrong = (calibration_error_figure(positive, expit(scale * odds)) for scale in (1.0, 5.0))
    assert right.low == 0.0
    assert 0 < right.value < right.high
    assert wrong.low > 0.05
