"""A person's own table of ids that are one patient adds to the known pairs, wherever persons are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.data.index.identity import person_of
from core.errors import DataError
from core.settings import Settings
from tests.audit.images import draw_head, save


@pytest.fixture
def own_table(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the table lies."""
    monkeypatch.setenv("MGMT_LAB_HOME", str(settings.home))
    settings.home.mkdir(parents=True)
    return settings.home / "identity.csv"


def test_own_pairs_add_to_the_known_ones(own_table: Path) -> None:
    assert person_of("00639") == "00557"
    assert person_of("00700") == "00700"
    own_table.write_text("study_id,same_person_as,source\n700,639,our archive\n")
    assert person_of("00700") == person_of("00639") == person_of("00557") == "00557"
    own_table.unlink()
    assert person_of("00700") == "00700"


def test_a_changed_table_is_read_again(own_table: Path) -> None:
    own_table.write_text("study_id,same_person_as\n00700,00800\n")
    assert person_of("00800") == "00700"
    own_table.write_text("study_id,same_person_as\n00600,00800\n")
    os.utime(own_table, ns=(1, 1))
    assert person_of("00800") == "00600"


def test_a_cohort_is_grouped_by_it(own_table: Path, tmp_path: Path) -> None:
    own_table.write_text("study_id,same_person_as\n00002,00001\n")
    for person in (1, 2, 3):
        save(tmp_path / "heads" / f"{person:05d}_0.png", draw_head(person))
    cohort = scan_cohort(tmp_path / "heads", layout="flat", jobs=1)
    assert [study.person for study in cohort] == ["00001", "00001", "00003"]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", b"\xff\xfe\0\0"])
def test_a_table_that_is_none_is_named(own_table: Path, content: bytes) -> None:
    own_table.write_bytes(content)
    with pytest.raises(DataError, match=r"identity\.csv.*study_id,same_person_as"):
        person_of("00001")
