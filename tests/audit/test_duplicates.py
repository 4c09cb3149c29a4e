"""Copies are found, however they were saved; neighbours and other people's brains are not taken for copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.audit.checks import audit_cohort
from core.audit.duplicates import HASH_BITS, propose_pairs
from core.audit.findings import AuditReport
from core.data.cohort import scan_cohort
from core.settings import Settings
from tests.audit.images import draw_head, save

DRIFT = 6
"""Rows by which a head's pattern drifts from one slice to the next."""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Six people, three neighbouring slices each."""
    for person in range(6):
        for index in range(3):
            save(tmp_path / "heads" / f"{person:05d}_{index}.png", draw_head(person, DRIFT * index))
    return tmp_path / "heads"


def audit(folder: Path, settings: Settings) -> AuditReport:
    return audit_cohort(scan_cohort(folder, layout="flat", jobs=1), settings, jobs=1)


def places(report: AuditReport, kind: str) -> list[tuple[str, ...]]:
    return [finding.where for finding in report.findings if finding.kind == kind]


def test_neighbours_and_other_people_are_no_duplicates(people: Path, settings: Settings) -> None:
    assert not [finding for finding in audit(people, settings).findings if "duplicate" in finding.kind]


def test_thin_neighbouring_slices_of_one_patient_are_no_duplicates(tmp_path: Path, settings: Settings) -> None:
    for index in range(8):
        save(tmp_path / "heads" / f"00001_{index}.png", draw_head(2, index))
    assert not [finding for finding in audit(tmp_path / "heads", settings).findings if "duplicate" in finding.kind]


def test_the_same_pixels_under_another_name_and_format(people: Path, settings: Settings) -> None:
    save(people / "00009_1.bmp", draw_head(2, DRIFT))
    assert places(audit(people, settings), "duplicate-between-patients") == [("00002_1.png", "00009_1.bmp")]


@pytest.mark.parametrize("way", ["jpeg", "half", "darker"])
def test_a_copy_that_was_saved_again(people: Path, settings: Settings, way: str) -> None:
    head = draw_head(2, DRIFT)
    if way == "jpeg":
        save(people / "00009_1.jpg", head, quality=80)
    elif way == "half":
        save(people / "00009_1.png", head.reshape(32, 2, 32, 2).mean(axis=(1, 3)))
    else:
        save(people / "00009_1.png", 200 * (head / 255) ** 1.1)
    found = places(audit(people, settings), "near-duplicate-between-patients")
    assert [sorted(place[:5] for place in where) for where in found] == [["00002", "00009"]]


def test_a_copy_within_a_patient_needs_to_be_much_closer(people: Path, settings: Settings) -> None:
    save(people / "00002_7.jpg", draw_head(2, DRIFT), quality=95)
    assert places(audit(people, settings), "near-duplicate-within-patient") == [("00002_1.png", "00002_7.jpg")]


def test_blank_images_are_no_duplicates_of_each_other(people: Path, settings: Settings) -> None:
    for person in (7, 8):
        save(people / f"{person:05d}_0.png", np.zeros((64, 64), np.float32))
    report = audit(people, settings)
    assert not [finding for finding in report.findings if "duplicate" in finding.kind]
    assert len(places(report, "blank-series")) == 2


def test_three_shared_slices_make_one_patient(people: Path, settings: Settings) -> None:
    for index in range(3):
        save(people / f"00009_{index}.bmp", draw_head(2, DRIFT * index))
    report = audit(people, settings)
    assert places(report, "same-patient") == [("00002", "00009")]
    assert not places(report, "duplicate-between-patients")


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30), st.sets(st.integers(0, 63), max_size=5))
def test_hashes_that_differ_in_five_bits_are_always_proposed(values: list[int], flipped: set[int]) -> None:
    changed = values[0]
    for bit in flipped:
        changed ^= 1 << bit
    hashes = np.array([*values, changed], dtype=np.uint64)
    pairs = propose_pairs(hashes)
    assert [0, len(values)] in pairs.tolist()
    assert (np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= HASH_BITS).all()
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_a_large_bucket_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.audit.duplicates.CHUNK", 3)
    hashes = np.full(8, 5, dtype=np.uint64)
    assert len(propose_pairs(hashes)) == 8 * 7 / 2
