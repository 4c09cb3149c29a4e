"""The sample study is drawn once, and again where it is not whole or where other code drew it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.phantom import study
from core.phantom.sample import FILES, keep_sample_study


def test_the_sample_is_drawn_once_and_again_where_it_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def draw(folder: Path, **asked: int) -> Path:
        drawn.append(folder)
        return make(folder, **asked)

    make = study.make_sample_study
    monkeypatch.setattr(study, "make_sample_study", draw)
    earlier = tmp_path / "of other code"
    earlier.mkdir()
    first = keep_sample_study(tmp_path)
    assert not earlier.exists()
    assert len(list(first.rglob("*.dcm"))) == FILES
    assert keep_sample_study(tmp_path) == first
    assert len(drawn) == 1
    next(first.rglob("*.dcm")).unlink()
    assert keep_sample_study(tmp_path) == first
    assert len(drawn) == 2
    assert len(list(scan_cohort(first).series)) == 4
