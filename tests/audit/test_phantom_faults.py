"""Faults in the synthetic cohort: asked for in its configuration, planted once, and written down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.errors import ConfigError, StorageError
from core.phantom import cohort as phantom
from core.phantom.cohort import make_phantom
from core.phantom.config import LEAST_STUDIES, PhantomConfig
from core.phantom.faults import FAULT_FILE, plant_faults, read_planted


def test_what_was_planted_is_written_down(spoilt_folder: Path) -> None:
    planted = read_planted(spoilt_folder)
    assert len(planted) == len({kind for kind, _ in planted}) == 20
    assert json.loads((spoilt_folder / FAULT_FILE).read_text())[0].keys() == {"kind", "where"}


def test_no_study_is_spoilt_twice(spoilt_folder: Path) -> None:
    per_fault = [
        {part for place in where for part in place.split("/") if part.isdigit()}
        for _, where in read_planted(spoilt_folder)
    ]
    assert len(set.union(*per_fault)) == sum(map(len, per_fault))


@pytest.mark.parametrize("sizes", [{"studies": LEAST_STUDIES - 1}, {"slices": 7}])
def test_a_cohort_too_small_to_hold_them_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="faults need at least 24 studies of 8 slices"):
        PhantomConfig(faults=True, **sizes)


def test_a_generation_that_was_cut_off_among_the_faults_begins_anew(
    tmp_path: Path,
    clean_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    def make(root: Path, plans: list[object], jobs: int | None) -> list[str]:
        made.append(len(plans))
        for plan in plans:
            (root / "train" / plan.study_id).mkdir()  # type: ignore[attr-defined]
        return []

    def stop(root: Path, seed: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(phantom, "_make_studies", make)
    monkeypatch.setattr(phantom, "_write_tables", lambda *_: None)
    monkeypatch.setattr(phantom, "read_phantom", lambda folder: folder)
    monkeypatch.setattr(phantom, "plant_faults", stop)
    config = PhantomConfig(studies=LEAST_STUDIES, faults=True)
    with pytest.raises(StorageError):
        make_phantom(tmp_path / "cohort", config, jobs=1)
    monkeypatch.setattr(phantom, "plant_faults", lambda root, seed: [])
    make_phantom(tmp_path / "cohort", config, jobs=1)
    assert made == [LEAST_STUDIES, LEAST_STUDIES]


def test_the_same_seed_spoils_the_same_studies(spoilt_folder: Path, clean_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clean_folder, tmp_path / "again")
    assert plant_faults(tmp_path / "again", seed=3) == read_planted(spoilt_folder)
