"""A cohort that cannot show what siblings are worth is told so, with what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.experiments.twin.lesson import find_obstacle
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig


@pytest.mark.parametrize(
    ("studies", "slices", "said"), [(24, 12, ""), (24, 8, "has 8 slices"), (8, 12, "4 patients of its rarer class")]
)
def test_what_a_cohort_lacks(studies: int, slices: int, said: str, tmp_path: Path) -> None:
    make_phantom(tmp_path, PhantomConfig(studies=studies, slices=slices, size=32, signal=1), jobs=1)
    found = find_obstacle(scan_cohort(tmp_path, jobs=1))
    assert said in found
    assert bool(found) == bool(said)
