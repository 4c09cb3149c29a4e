"""A linear head on features of known worth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from core.errors import EvaluationError
from core.evaluation.permutation import exchange_within, permutation_p
from core.experiments.controls.head_result import HeadResult, mean_by_patient
from core.experiments.controls.linear_head import evaluate_head


def features(
    shift: float, patients: int = 60, width: int = 4, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = np.arange(patients) % 2
    values = np.random.default_rng(seed).normal(size=(patients, width))
    values[:, 0] += shift * labels
    return values, labels


def judged(shift: float, seed: int = 0, width: int = 4, permutations: int = 39) -> HeadResult:
    return evaluate_head(*features(shift, width=width, seed=seed), permutations=permutations, nested=False)


def test_a_strong_feature_is_found_and_its_p_is_the_smallest_there_is() -> None:
    found = judged(5.0)
    assert (found.auroc.value or 0) > 0.97
    assert found.p_value == 1 / 40
    assert found.auroc.n == 60


def test_noise_gives_chance_and_a_p_that_is_uniform() -> None:
    found = [judged(0.0, seed) for seed in range(12)]
    assert abs(np.mean([one.auroc.value or 0.0 for one in found]) - 0.5) < 0.08
    p = np.array([one.p_value for one in found])
    assert 0.25 < p.mean() < 0.75
    assert (p <= 0.05).sum() <= 3


def test_more_features_than_patients_do_not_help_noise() -> None:
    found = [judged(0.0, seed, width=300, permutations=9) for seed in range(8)]
    assert abs(np.mean([one.auroc.value or 0.0 for one in found]) - 0.5) < 0.08
    assert abs(np.mean([one.null.mean() for one in found]) - 0.5) < 0.06


def test_the_interval_holds_the_value_and_never_claims_certainty() -> None:
    perfect = judged(50.0).auroc
    assert perfect.value == 1
    assert perfect.low is not None
    assert 0.8 < perfect.low < 1


def test_scale_and_order_of_the_features_do_not_matter() -> None:
    values, labels = features(1.0)
    options = {"permutations": 3, "nested": False}
    plain = evaluate_head(values, labels, **options)  # type: ignore[arg-type]
    scaled = evaluate_head(values[:, ::-1] * 1000 + 5, labels, **options)  # type: ignore[arg-type]
    assert scaled.auroc.value == pytest.approx(plain.auroc.value)


def test_the_nested_choice_of_the_penalty_finds_it_too() -> None:
    values, labels = features(2.0)
    assert (evaluate_head(values, labels, permutations=3).auroc.value or 0) > 0.85


def test_features_that_do_not_vary_say_nothing() -> None:
    found = evaluate_head(np.ones((40, 3)), np.arange(40) % 2, permutations=5, nested=False)
    assert found.auroc.value == 0.5
    assert found.auroc.low is None
    assert "all scores" in found.auroc.reason
    assert found.p_value == 1


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(EvaluationError, match="at least 6"):
        evaluate_head(np.zeros((10, 2)), np.arange(10) % 2)


def test_progress_may_stop_it() -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int, what: str = "") -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        evaluate_head(*features(0.0), nested=False, progress=stop)


@pytest.mark.parametrize(("null", "p"), [([0.4, 0.5, 0.6], 0.5), ([0.4, 0.4, 0.4], 0.25), ([0.55, 0.7, 0.8], 1.0)])
def test_p_counts_those_at_least_as_good_and_the_observed_one_itself(null: list[float], p: float) -> None:
    assert permutation_p(0.55, np.array(null)) == p


def test_slices_are_averaged_by_patient() -> None:
    rows = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 2.0]])
    assert mean_by_patient(rows, np.array([0, 0, 1])).tolist() == [[2.0, 0.0], [5.0, 2.0]]


def test_what_shows_only_the_site_is_no_finding_within_sites() -> None:
    """Two sites with 70 and 30% of one class: among all patients the site predicts the label, within them nothing does."""
    generator = np.random.default_rng(5)
    p_within, p_among = [], []
    for seed in range(6):
        site = np.arange(80) % 2
        labels = (generator.permuted(np.tile(np.arange(40) < 28, 2).reshape(2, 40), axis=1).T.ravel() ^ (site == 1)) * 1
        values = np.stack([site + 0.3 * generator.normal(size=80), generator.normal(size=80)], axis=1)
        exchange = exchange_within([str(one) for one in site], labels)
        options = {"permutations": 19, "nested": False, "seed": seed}
        p_within.append(evaluate_head(values, labels, exchange=exchange, **options))  # type: ignore[arg-type]
        p_among.append(evaluate_head(values, labels, **options))  # type: ignore[arg-type]
    assert p_within[0].within == "within 2 sites"
    assert np.mean([one.p_value for one in p_among]) < 0.1
    assert np.mean([one.p_value for one in p_within]) > 0.3


def test_the_interval_holds_where_there_is_nothing_to_learn() -> None:
    """LeDell's interval alone, without the factor for shared training patients, held 85 to 90% of the time."""
    held = 0
    for seed in range(60):
        found = judged(0.0, seed, permutations=1).auroc
        held += (found.low or 0) <= 0.5 <= (found.high or 1)
    assert held >= 56


def test_matrices_this_small_are_not_shared_out_to_threads() -> None:
    seen = []

    def look(*_: object) -> None:
        seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

    with threadpool_limits(2, user_api="blas"):
        evaluate_head(*features(1.0), permutations=3, nested=False, progress=look)
    assert seen
    assert all(threads == {1} for threads in seen)
