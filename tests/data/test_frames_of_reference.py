"""Series of different frames of reference are not laid over each other unless somebody says that they may be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.prepare.cache import load_prepared, open_prepared
from core.data.prepare.slices import prepare_source
from core.data.select import compare_frames, count_frames, select_sources, warn_frames
from core.data.study import Cohort
from core.data.summary import describe_cohort
from core.dataset.table import build_table
from core.errors import EmptyCohortError, FrameOfReferenceError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.dicom_files import write_series
from tests.data.volumes import draw_head

PREP = PrepConfig(sequences=(MRSequence.FLAIR, MRSequence.T2W), grid_mm=3, size_px=32, slice_count=2)
ASSUMING = PREP.model_copy(update={"frames": "assume_registered"})
HEAD = draw_head(6).astype(np.uint16)


def write_study(folder: Path, *frames: str | None) -> Cohort:
    """One study whose FLAIR and T2w state these frames; None states none."""
    for number, (name, frame) in enumerate(zip(("FLAIR", "T2w"), frames, strict=True)):
        attributes = {"SeriesInstanceUID": f"1.2.{number}", "FrameOfReferenceUID": frame}
        write_series(folder / "00001" / name, HEAD, **attributes)
    return scan_cohort(folder)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [(("1.1", "1.1"), "same"), (("1.1", "1.2"), "different"), ((None, "1.1"), "unknown"), ((None, None), "unknown")],
)
def test_the_frame_is_read_and_carried_and_counted(
    tmp_path: Path, frames: tuple[str | None, ...], expected: str
) -> None:
    cohort = write_study(tmp_path, *frames)
    assert [one.frame_of_reference_uid for one in cohort.series] == [frame or "" for frame in frames]
    assert compare_frames(cohort.series) == expected
    assert describe_cohort(cohort)["frames"] == {"same": 0, "different": 0, "unknown": 0, expected: 1}
    assert any("frame" in note for note in cohort.notes) == (expected != "same")


def test_the_index_remembers_the_frame(tmp_path: Path, settings: Settings) -> None:
    write_study(tmp_path / "data", "1.1", "1.2")
    first, again = (scan_cohort(tmp_path / "data", settings=settings) for _ in range(2))
    assert [one.frame_of_reference_uid for one in again.series] == ["1.1", "1.2"]
    assert count_frames(first) == count_frames(again)


def test_a_series_whose_files_disagree_states_none(tmp_path: Path) -> None:
    write_series(tmp_path / "00001/FLAIR", HEAD[:3], FrameOfReferenceUID="1.1")
    names = [f"Image-{number}.dcm" for number in (4, 5, 6)]
    write_series(tmp_path / "00001/FLAIR", HEAD[3:], origin=(-10, -20, -21), names=names, FrameOfReferenceUID="1.2")
    (series,) = scan_cohort(tmp_path).series
    assert len(series.files) == 6
    assert series.frame_of_reference_uid == ""


def test_known_different_frames_are_refused_with_the_remedy(tmp_path: Path, settings: Settings) -> None:
    cohort = write_study(tmp_path, "1.1", "1.2")
    (source,) = select_sources(cohort.studies[0], PREP)
    with pytest.raises(FrameOfReferenceError, match=r"00001.*FLAIR \| T2w.*Register them.*frames=assume_registered"):
        prepare_source(source, PREP)
    with pytest.raises(EmptyCohortError, match="different frames of reference"):
        build_table(cohort, PREP, settings, jobs=1)


def test_what_was_prepared_on_an_assumption_is_not_found_when_it_is_refused(tmp_path: Path, settings: Settings) -> None:
    cohort = write_study(tmp_path, "1.1", "1.2")
    (source,) = select_sources(cohort.studies[0], ASSUMING)
    assumed = load_prepared(source, ASSUMING, settings)
    assert open_prepared(source, PREP, settings) is None
    with pytest.raises(FrameOfReferenceError):
        load_prepared(source, PREP, settings)
    (sentence,) = warn_frames(source, ASSUMING)
    assert "different frames of reference" in sentence
    same = write_study(tmp_path / "same", "1.1", "1.1")
    np.testing.assert_array_equal(prepare_source(select_sources(same.studies[0], PREP)[0], PREP).pixels, assumed.pixels)


def test_frames_that_are_not_stated_are_assumed_and_said(tmp_path: Path) -> None:
    cohort = write_study(tmp_path, None, "1.1")
    (source,) = select_sources(cohort.studies[0], PREP)
    assert len(prepare_source(source, PREP).pixels) == 4
    assert warn_frames(source, PREP) == [
        "FLAIR state no frame of reference: the series are assumed to be registered to one another."
    ]


def test_series_in_their_own_planes_may_lie_anywhere(tmp_path: Path) -> None:
    cohort = write_study(tmp_path, "1.1", "1.2")
    own = PREP.model_copy(update={"grid_mm": 0.0})
    for source in select_sources(cohort.studies[0], own):
        assert len(prepare_source(source, own).pixels) == 2
        assert warn_frames(source, own) == []
