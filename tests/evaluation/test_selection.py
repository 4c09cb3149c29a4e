"""What choosing the best of several gains by noise alone: against known values, and against drawn numbers."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import EvaluationError
from core.evaluation.selection import expected_gain, expected_maximum


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, 0.0), (2, 1 / np.sqrt(np.pi)), (3, 1.5 / np.sqrt(np.pi)), (10, 1.538753), (100, 2.507594)],
)
def test_the_expected_largest_of_normal_numbers_is_the_tabled_one(count: int, expected: float) -> None:
    assert expected_maximum(count) == pytest.approx(expected, abs=1e-5)


def test_what_is_common_to_all_models_chooses_none_of_them() -> None:
    generator = np.random.default_rng(0)
    error, correlation, count, draws = 0.07, 0.8, 12, 40_000
    common = generator.normal(size=(draws, 1)) * np.sqrt(correlation)
    own = generator.normal(size=(draws, count)) * np.sqrt(1 - correlation)
    gained = (error * (common + own)).max(axis=1)
    assert expected_gain(count, error, correlation) == pytest.approx(
        gained.mean(), abs=4 * gained.std() / np.sqrt(draws)
    )
    assert expected_gain(count, error, 1.0) == 0.0
    assert expected_gain(count, error) == pytest.approx(error * expected_maximum(count))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(EvaluationError, match="at least one"):
        expected_maximum(0)
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        expected_gain(3, 0.1, 1.5)
    with pytest.raises(EvaluationError, match="0 or more"):
        expected_gain(3, -0.1)
