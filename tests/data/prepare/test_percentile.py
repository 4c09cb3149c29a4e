"""Percentiles are NumPy's to the last bit, counted or sorted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.prepare.percentile import percentiles


@given(
    values=st.lists(st.integers(0, 65_535), min_size=1, max_size=200),
    ranks=st.lists(st.floats(0, 100), min_size=1, max_size=5),
)
def test_whole_numbers(values: list[int], ranks: list[float]) -> None:
    array = np.array(values, np.float32)
    assert percentiles(array.copy(), ranks) == np.percentile(array, ranks).tolist()


@pytest.mark.parametrize("odd", [-1.0, 0.5, 65_536.0, 1e30, -1e30])
def test_other_numbers(odd: float) -> None:
    array = np.append(np.random.default_rng(0).integers(0, 1000, 999), odd).astype(np.float32)
    assert percentiles(array.copy(), [0, 0.5, 99.5, 100]) == np.percentile(array, [0, 0.5, 99.5, 100]).tolist()


def test_whole_numbers_are_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(np, "percentile")
    assert percentiles(np.array([3, 1, 2], np.float32), [50]) == [2.0]
