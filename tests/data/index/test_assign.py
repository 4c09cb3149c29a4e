from pathlib import Path

import numpy as np
import pytest

from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.data.upload import open_scan
from core.errors import ConfigError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.dicom_files import write_series

STACK = np.random.default_rng(0).integers(0, 4000, (9, 6, 5)).astype(np.uint16)
THIN, THICK, PLAIN = "1.2.1", "1.2.2", "1.2.3"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with two T1w series, one of more slices, and one series that says nothing."""
    for name, uid, count, said in (("s1", THICK, 5, "AX T1"), ("s2", THIN, 9, "SAG T1"), ("s3", PLAIN, 6, "extra")):
        write_series(tmp_path / "00001" / name, STACK[:count], SeriesInstanceUID=uid, SeriesDescription=said)
    return tmp_path


def used(cohort: Cohort, sequence: MRSequence) -> str | None:
    series = cohort.studies[0].find(sequence)
    return series and series.series_uid


def test_the_choice_among_several_is_made_by_slices_and_explained(study: Path) -> None:
    cohort = scan_cohort(study)
    assert used(cohort, MRSequence.T1W) == THIN
    (note,) = [note for note in cohort.notes if "series of T1w" in note]
    assert "2 series of T1w: 'SAG T1' of 9 slices" in note
    assert "is used (it has the most slices), not 'AX T1' of 5 slices" in note
    assert f"({THICK}; SeriesDescription 'AX T1')" in note


def test_what_was_recognised_comes_before_what_was_guessed(study: Path) -> None:
    write_series(
        study / "00001" / "s4",
        np.repeat(STACK, 2, axis=0),
        SeriesInstanceUID="1.2.4",
        RepetitionTime=500,
        EchoTime=12,
        ScanningSequence="SE",
    )
    cohort = scan_cohort(study)
    assert [series.sequence_confidence for series in cohort.series if series.sequence is MRSequence.T1W] == [
        "likely",
        "likely",
        "guess",
    ]
    assert used(cohort, MRSequence.T1W) == THIN


def test_a_persons_word_goes_before_all(study: Path, settings: Settings, tmp_path: Path) -> None:
    overrides = {THICK: MRSequence.T1W, PLAIN: MRSequence.FLAIR}
    for cohort in (
        scan_cohort(study, sequence_overrides=overrides),
        open_scan([study], tmp_path / "work", settings, sequence_overrides=overrides),
    ):
        assert used(cohort, MRSequence.T1W) == THICK
        assert used(cohort, MRSequence.FLAIR) == PLAIN
        flair = cohort.studies[0].find(MRSequence.FLAIR)
        assert flair
        assert (flair.sequence_reason, flair.sequence_confidence) == ("as assigned by you", "certain")
        assert any("is used (as assigned by you)" in note for note in cohort.notes)


def test_a_series_can_be_set_aside_by_hand(study: Path) -> None:
    cohort = scan_cohort(study, sequence_overrides={THIN: MRSequence.UNKNOWN})
    assert used(cohort, MRSequence.T1W) == THICK
    assert not any("series of T1w" in note for note in cohort.notes)


def test_a_uid_that_no_series_has_is_named_with_those_there_are(study: Path) -> None:
    with pytest.raises(ConfigError, match=r"No series has the UID '9\.9'; there are: 1\.2\.1 \(T1w\)"):
        scan_cohort(study, sequence_overrides={"9.9": MRSequence.FLAIR})


def test_many_choices_are_told_in_few_notes(tmp_path: Path) -> None:
    for number in range(8):
        for uid in ("1", "2"):
            folder = tmp_path / f"{number:05d}" / "FLAIR" / uid
            write_series(folder, STACK[:2], SeriesInstanceUID=f"1.{number}.{uid}", SeriesDescription="FLAIR")
    notes = [note for note in scan_cohort(tmp_path).notes if "series of FLAIR" in note or "further" in note]
    assert len(notes) == 3
    assert notes[-1] == "So in 6 further cases."
