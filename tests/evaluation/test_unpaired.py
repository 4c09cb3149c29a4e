"""Differences of figures that share no patient, and what several of them say together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.unpaired import mean_under_dependence, unpaired_difference


def share(hits: int, n: int) -> Figure:
    limits = binomtest(hits, n).proportion_ci(method="wilson")
    return Figure(value=hits / n, low=limits.low, high=limits.high, n=n)


def test_of_two_shares_it_is_newcombes_interval() -> None:
    """R. G. Newcombe 1998, Statistics in Medicine 17:873, Table II, example (a), method 10."""
    difference = unpaired_difference(share(56, 70), share(48, 80))
    assert (difference.low, difference.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert (difference.value, difference.n) == (pytest.approx(0.2), 150)


def test_what_has_no_interval_gives_none_and_what_has_no_value_nothing() -> None:
    bare = Figure(value=0.6, low=None, high=None, n=9, reason="one patient of a class")
    empty = Figure(value=None, low=None, high=None, n=9, reason="one class only")
    assert unpaired_difference(share(8, 10), bare) == Figure(
        value=pytest.approx(0.2), low=None, high=None, n=19, reason="one patient of a class"
    )
    assert unpaired_difference(empty, share(8, 10)).value is None
    assert mean_under_dependence([bare, share(8, 10)]).low is None
    for wrong in ([], [empty]):
        with pytest.raises(EvaluationError, match="each with a value"):
            mean_under_dependence(wrong)


def test_the_same_run_thrice_is_no_surer_than_once() -> None:
    once = unpaired_difference(share(56, 70), share(48, 80))
    thrice = mean_under_dependence([once] * 3)
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx((once.value, once.low, once.high))
    assert thrice.n == 3


@pytest.mark.parametrize("shared", [0.0, 0.9, 1.0])
def test_the_mean_holds_however_its_parts_depend(shared: float) -> None:
    generator = np.random.default_rng(4)
    common, own = generator.normal(size=(4000, 1)), generator.normal(size=(4000, 5))
    values = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    held = [
        (mean.low or 0.0) <= 0 <= (mean.high or 0.0)
        for row in values
        for mean in [mean_under_dependence([Figure(value=v, low=v - 1.96, high=v + 1.96, n=9) for v in row])]
    ]
    assert np.mean(held) > 0.94
