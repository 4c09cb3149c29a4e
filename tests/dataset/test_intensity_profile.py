"""The grey histogram that a checkpoint remembers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.dataset import intensity_profile as module
from core.dataset.intensity_profile import fingerprint, intensity_histogram
from tests.data.tables import alternating, make_table


def test_the_bins_are_sixteen_equal_ones() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert intensity_histogram(ramp) == [1 / 16] * 16
    assert intensity_histogram(np.full((1, 2, 2), 31, np.uint8))[1] == 1
    assert intensity_histogram(np.full((1, 2, 2), 32, np.uint8))[2] == 1


def test_each_sequence_has_its_own_over_the_rows_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)  # so that a sequence takes several blocks
    table = make_table(alternating(6))
    rows = table.rows.assign(sequence=["FLAIR"] * 12 + ["T2w"] * 6)
    table = replace(table, rows=rows)
    asked = np.array([0, 1, 2, 3, 4, 7, 14, 15])
    found = fingerprint(table, asked)
    assert list(found) == ["FLAIR", "T2w"]
    assert found["FLAIR"] == pytest.approx(intensity_histogram(table.images(asked[:6])))
    assert found["T2w"] == pytest.approx(intensity_histogram(table.images(asked[6:])))
    assert sum(found["T2w"]) == pytest.approx(1)
