"""Which series of a study are used: one rule, whoever asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import PrepConfig, RunConfig, parse_config
from core.data.index.assign import ASSIGNED
from core.data.select import identify_series, number_series, select_sources
from core.data.study import Series, Study
from core.mri import MRSequence, Plane

FLAIR, T1W, T1WCE, T2W, UNKNOWN = MRSequence
ONE, ALL = PrepConfig(), PrepConfig(series_selection="all")


def series(sequence: MRSequence, uid: str = "1", *, slices: int = 3, kind: str = "dicom", reason: str = "") -> Series:
    return Series(
        study_id="00001", sequence=sequence, series_uid=uid, plane=Plane.AXIAL, slice_total=slices, kind=kind,  # type: ignore[arg-type]
        files=tuple(Path(f"{sequence}-{uid}-{number}.dcm") for number in range(slices)), sequence_reason=reason,
    )  # fmt: skip


def study(*members: Series) -> Study:
    return Study(study_id="00001", person="00001", label=None, series=members)


def names(sources: list[object]) -> list[list[str]]:
    return [[f"{one.sequence}-{one.series_uid}" for one in source] for source in sources]  # type: ignore[attr-defined]


def test_of_each_sequence_the_best_series_is_taken_or_all() -> None:
    several = study(series(T2W), series(FLAIR, "1", slices=2), series(FLAIR, "2", slices=4), series(T1W, "9"))
    assert names(select_sources(several, ONE)) == [["FLAIR-2"], ["T1w-9"], ["T2w-1"]]
    assert names(select_sources(several, ALL)) == [["FLAIR-1"], ["FLAIR-2"], ["T1w-9"], ["T2w-1"]]


@pytest.mark.parametrize("selection", ["one", "all"])
def test_on_a_common_grid_one_of_each_sequence_goes_together_in_the_order_asked_for(selection: str) -> None:
    prep = PrepConfig.model_validate({"sequences": (T2W, FLAIR), "grid_mm": 3, "series_selection": selection})
    several = study(series(FLAIR, "1", slices=2), series(FLAIR, "2", slices=4), series(T1W), series(T2W))
    assert names(select_sources(several, prep)) == [["T2w-1", "FLAIR-2"]]
    assert select_sources(study(series(T1W)), prep) == []


@pytest.mark.parametrize("prep", [ONE, ALL, PrepConfig(sequences=(UNKNOWN,)), PrepConfig(grid_mm=3)])
def test_what_a_person_set_aside_is_never_taken(prep: PrepConfig) -> None:
    assert select_sources(study(series(UNKNOWN, kind="picture", reason=ASSIGNED)), prep) == []
    assert select_sources(study(series(UNKNOWN, reason=ASSIGNED)), prep) == []


def test_unnamed_images_are_taken_and_an_unnamed_volume_only_where_asked_for() -> None:
    assert names(select_sources(study(series(UNKNOWN, kind="picture")), ONE)) == [["unknown-1"]]
    assert select_sources(study(series(UNKNOWN)), ONE) == []
    assert names(select_sources(study(series(UNKNOWN)), PrepConfig(sequences=(UNKNOWN,)))) == [["unknown-1"]]


@given(
    st.permutations([series(FLAIR, "1"), series(FLAIR, "2"), series(T2W, "3", slices=9), series(T2W, "4")]),
    st.booleans(),
)
def test_the_order_in_which_series_were_found_does_not_matter(members: list[Series], every: bool) -> None:
    prep = ALL if every else ONE
    assert select_sources(study(*members), prep) == select_sources(study(*sorted(members, key=identify_series)), prep)


def test_a_series_number_does_not_depend_on_what_is_selected() -> None:
    short, long = series(FLAIR, "1", slices=2), series(FLAIR, "2", slices=4)
    numbers = number_series([long, short, series(T2W)])
    assert numbers[identify_series(short)] == 0
    assert numbers[identify_series(long)] == 1
    assert numbers[identify_series(series(T2W))] == 0


def test_a_stored_configuration_without_the_choice_goes_on_as_it_was() -> None:
    stored = RunConfig().model_dump(mode="json")
    assert (RunConfig().prep.series_selection, RunConfig().prep.frames) == ("one", "refuse")
    assert parse_config(stored).prep == PrepConfig()
    for name in ("series_selection", "frames"):
        del stored["prep"][name]
    old = parse_config(stored).prep
    assert (old.series_selection, old.frames) == ("all", "assume_registered")
    assert parse_config({"prep": {"size_px": 64}}).prep == PrepConfig(size_px=64)
