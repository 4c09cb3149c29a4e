import numpy as np
import pytest
from scipy.special import ndtri

from core.errors import EvaluationError
from core.evaluation.intervals import auroc_interval, hanley_mcneil_variance
from core.evaluation.power import (
    auroc_size,
    auroc_variance,
    development_sizes,
    development_sizes_of_r2,
    patients_needed,
    power_of,
    ratio_size,
    slope_size,
    smallest_auroc,
    validation_sizes,
)


def test_variance_without_a_signal_is_mann_whitneys() -> None:
    assert auroc_variance(0.5, 200, 0.5) == pytest.approx(201 / (12 * 100 * 100))
    # The standard errors of FIELD: 0.024 at n = 585, 0.054 at 117, 0.063 at 87.
    errors = [np.sqrt(auroc_variance(0.5, n)) for n in (585, 117, 87)]
    assert np.round(errors, 3).tolist() == [0.024, 0.054, 0.062]


@pytest.mark.parametrize("value", [0.6, 0.75, 0.9])
def test_variance_agrees_with_simulation_and_is_near_hanley_and_mcneils(value: float) -> None:
    generator = np.random.default_rng(0)
    yes = generator.normal(np.sqrt(2) * ndtri(value), 1, (4000, 30, 1))
    areas = (yes > generator.normal(0, 1, (4000, 1, 30))).mean(axis=(1, 2))
    assert auroc_variance(value, 60, 0.5) == pytest.approx(areas.var(), rel=0.1)
    assert auroc_variance(value, 60, 0.5) == pytest.approx(hanley_mcneil_variance(value, 30, 30), rel=0.15)


def test_one_hold_out_of_117_has_46_percent_power_for_an_auroc_of_0_60_and_585_have_99() -> None:
    assert power_of(0.6, patients=117) == pytest.approx(0.46, abs=0.01)
    assert power_of(0.6, patients=585) == pytest.approx(0.99, abs=0.005)


@pytest.mark.parametrize(("n", "value"), [(117, 0.6), (117, 0.7), (200, 0.62)])
def test_power_is_how_often_the_interval_leaves_one_half_out(n: int, value: float) -> None:
    generator = np.random.default_rng(n)
    positive = np.arange(n) < round(0.525 * n)
    draws = 1500
    outside = 0
    for _ in range(draws):
        _, low, high = auroc_interval(positive, generator.normal(size=n) + np.sqrt(2) * ndtri(value) * positive)
        outside += low > 0.5 or high < 0.5
    assert outside / draws == pytest.approx(power_of(value, patients=n), abs=0.04)


def test_patients_needed_is_the_first_number_with_the_power() -> None:
    needed = patients_needed(0.62)
    assert needed is not None
    assert power_of(0.62, patients=needed) >= 0.8 > power_of(0.62, patients=needed - 1)
    assert patients_needed(0.6, 0.6) is None


def test_the_same_patients_tell_two_models_apart_with_fewer() -> None:
    unpaired = patients_needed(0.7, 0.62, design="unpaired")
    paired = patients_needed(0.7, 0.62, design="paired", correlation=0.5)
    known = patients_needed(0.7, 0.62)
    assert unpaired is not None
    assert paired is not None
    assert known is not None
    assert known == pytest.approx(paired, rel=0.05)  # half the variance of two models is that of one
    assert paired == pytest.approx(unpaired / 2, rel=0.05)


def test_smallest_auroc_has_the_power_that_was_asked_for() -> None:
    assert power_of(smallest_auroc(585), patients=585) == pytest.approx(0.8, abs=1e-6)
    assert smallest_auroc(585) < smallest_auroc(117)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        power_of(1.0, patients=50)
    with pytest.raises(EvaluationError, match="too few"):
        power_of(0.7, patients=4)


def test_cross_validation_over_all_patients_has_less_power_than_one_model_on_as_many() -> None:
    """585 patients and networks worth 0.594: their interval tells it in 4 of 5 studies, not in 98 of 100."""
    assert power_of(0.594, patients=585) == pytest.approx(0.98, abs=0.01)
    assert power_of(0.594, patients=585, design="folds") == pytest.approx(0.80, abs=0.02)
    needed = patients_needed(0.6, design="folds")
    assert needed is not None
    assert power_of(0.6, patients=needed, design="folds") >= 0.8 > power_of(0.6, patients=needed - 1, design="folds")
    assert smallest_auroc(117, design="folds") > smallest_auroc(117)
    with pytest.raises(EvaluationError, match="at least 20"):
        power_of(0.9, patients=19, design="folds")


@pytest.mark.parametrize(
    ("n", "value", "reached"),
    [
        (40, 0.679, 0.168), (40, 0.720, 0.285), (40, 0.847, 0.763), (40, 0.870, 0.866), (117, 0.604, 0.232),
        (117, 0.678, 0.635), (117, 0.692, 0.742), (117, 0.719, 0.853), (117, 0.759, 0.942), (585, 0.593, 0.792),
    ],
)  # fmt: skip
def test_power_of_folds_is_that_of_the_simulated_interval(n: int, value: float, reached: float) -> None:
    """4,000 draws each of benchmarks/bench_folds.py (some by --gaussian): 2, 8 and 200 features, Gaussian and skewed."""
    assert power_of(value, patients=n, design="folds") == pytest.approx(reached, abs=0.03)


def normal(mean: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    nodes, mass = np.polynomial.hermite_e.hermegauss(200)
    return mean + spread * nodes, mass / mass.sum()


def test_sizes_to_develop_are_those_of_the_authors_example() -> None:
    """Of pmsampsize's documentation: R2 0.288, 24 parameters, 17.4% events: 662 patients."""
    assert development_sizes_of_r2(0.288, 24, 0.174) == {"shrinkage": 623, "optimism": 662, "risk": 221}


def test_sizes_to_validate_are_those_of_the_authors_example() -> None:
    """Of pmvalsampsize's documentation: 1.8% events, C 0.8, log odds N(-5, 2.5^2), widths 1, 0.2 and 0.1."""
    assert ratio_size(0.018, 1) == pytest.approx(905, abs=1)
    assert slope_size(*normal(-5, 2.5), 0.2) == pytest.approx(4544, rel=0.005)  # theirs is simulated
    assert auroc_size(0.8, 0.018, 0.1) == pytest.approx(4252, abs=1)


def test_a_good_model_takes_fewer_to_develop_and_a_weak_one_more_to_show_its_slope() -> None:
    weak, good = development_sizes(0.62, 10), development_sizes(0.85, 10)
    assert weak["shrinkage"] > 5 * good["shrinkage"]
    assert weak["risk"] == good["risk"] == 384
    assert validation_sizes(0.62)["slope"] > 5 * validation_sizes(0.85)["slope"]
    with pytest.raises(EvaluationError, match=r"between 0\.5 and 1"):
        development_sizes(0.5, 10)
