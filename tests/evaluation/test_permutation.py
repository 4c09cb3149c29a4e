"""p values of permutation tests, and of several tests together."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.permutation import adjust_holm, permutation_p


def test_p_counts_the_observed_order_too() -> None:
    assert permutation_p(0.9, np.array([0.1, 0.95, 0.9])) == 3 / 4


def test_holm_gives_the_published_steps() -> None:
    adjusted = adjust_holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert adjust_holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}
