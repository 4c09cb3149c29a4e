"""Which of several T1-weighted series is after contrast is decided for the study as a whole."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.formats.acquisition import Acquisition
from core.data.index.recognise import Recognition, SeriesEvidence, recognise_study
from core.mri import MRSequence

FLAIR, T1W, T1WCE, T2W, UNKNOWN = MRSequence
HOUR = 3600.0
T1 = Acquisition(scanning_sequence=("SE",), acquisition_type="2D", repetition_time_ms=500, echo_time_ms=12)
T2 = Acquisition(series_description="T2", scanning_sequence=("SE",), repetition_time_ms=4000, echo_time_ms=100)


def t1(name: str, minute: float | None = None, **changes: object) -> Acquisition:
    time = None if minute is None else 10 * HOUR + 60 * minute
    return replace(T1, series_description=name, acquired_seconds=time, **changes)


def recognise(*series: Acquisition) -> list[Recognition]:
    return recognise_study([SeriesEvidence(acquisition=one) for one in series])


def said(*series: Acquisition) -> list[tuple[MRSequence, str]]:
    return [(found.sequence, found.confidence) for found in recognise(*series)]


def test_a_twin_of_a_marked_series_is_before_contrast_and_not_certain_where_it_came_later() -> None:
    for name in ("t1_space_sag_iso+C", "t1_space_sag_iso_C", "t1_space_sag_iso c"):
        assert said(t1("t1_space_sag_iso"), t1(name)) == [(T1W, "certain"), (T1WCE, "certain")]
        assert said(t1(name, 5), t1("t1_space_sag_iso", 0)) == [(T1WCE, "certain"), (T1W, "certain")]
        assert said(t1(name, 0), t1("t1_space_sag_iso", 5)) == [(T1WCE, "certain"), (T1W, "likely")]


def test_a_lone_letter_without_a_twin_is_only_likely() -> None:
    assert said(t1("T1 SAG"), t1("mprage_C")) == [(T1W, "likely"), (T1WCE, "likely")]


def test_what_came_before_and_after_a_marked_series() -> None:
    marked = t1("T1 SE mdc", 20)
    assert said(t1("T1 MPRAGE", 5), marked)[0] == (T1W, "certain")
    assert said(t1("T1 MPRAGE", 25), marked)[0] == (T1WCE, "likely")
    assert said(t1("T1 MPRAGE"), marked)[0] == (T1W, "likely")


def test_an_unmarked_series_between_those_named_before_and_after_contrast_is_not_certain() -> None:
    pre, post = t1("T1 AX PRE", 5), t1("T1 AX POST", 20)
    assert said(pre, t1("T1 COR", 15), post)[1] == (T1W, "likely")
    assert said(t1("T1 COR", 0), pre, post)[0] == (T1W, "certain")


def test_of_two_alike_the_later_is_after_contrast_but_never_certain() -> None:
    both = t1("T1_3D_ISO", 25), t1("T1_3D_ISO", 43)
    assert said(*both) == [(T1W, "guess"), (T1WCE, "guess")]
    assert said(*reversed(both)) == [(T1WCE, "guess"), (T1W, "guess")]
    told = [replace(one, examination="RM encefalo senza e con contrasto") for one in both]
    assert said(*told) == [(T1W, "likely"), (T1WCE, "likely")]
    plain = [replace(one, examination="MRI head without contrast") for one in both]
    assert said(*plain) == [(T1W, "likely"), (T1W, "likely")]


def test_series_numbers_tell_the_order_where_times_do_not() -> None:
    assert said(t1("T1", series_number=3), t1("T1", series_number=9)) == [(T1W, "guess"), (T1WCE, "guess")]
    assert said(t1("T1", series_number=9), t1("T1", series_number=3_378_179_583)) == [(T1W, "likely")] * 2


def test_an_order_that_contradicts_itself_is_none() -> None:
    assert said(t1("T1", 0, series_number=9), t1("T1", 20, series_number=3)) == [(T1W, "likely")] * 2
    assert said(t1("T1", 0), t1("T1", 200)) == [(T1W, "likely")] * 2


def test_midnight_lies_between() -> None:
    late, early = replace(t1("T1"), acquired_seconds=23.9 * HOUR), replace(t1("T1"), acquired_seconds=0.2 * HOUR)
    assert said(early, late) == [(T1WCE, "guess"), (T1W, "guess")]


def test_three_unmarked_are_split_at_the_longest_pause() -> None:
    series = t1("T1 SAG", 0), t1("T1 AX", 4), t1("T1 COR", 30)
    assert [found.sequence for found in recognise(*series)] == [T1W, T1W, T1WCE]


def test_the_agent_tells_where_not_every_series_has_it() -> None:
    with_agent = t1("T1", contrast_agent="Dotarem")
    assert said(t1("T1"), with_agent) == [(T1W, "likely"), (T1WCE, "likely")]
    assert said(with_agent) == [(T1WCE, "likely")]
    assert said(with_agent, with_agent) == [(T1W, "likely"), (T1W, "likely")]
    timed = [replace(one, contrast_agent="Dotarem") for one in (t1("T1", 0), t1("T1", 20))]
    assert said(*timed) == [(T1W, "guess"), (T1WCE, "guess")]


def test_the_injection_time_tells() -> None:
    injected = {"contrast_agent": "Dotarem", "injected_seconds": 10 * HOUR + 600}
    assert said(t1("T1", 5, **injected), t1("T1", 15, **injected)) == [(T1W, "likely"), (T1WCE, "likely")]


def test_a_name_goes_before_the_agent() -> None:
    assert said(t1("T1 PRE", contrast_agent="Dotarem"), t1("T1 POST")) == [(T1W, "likely"), (T1WCE, "certain")]


def test_without_order_a_volume_beside_slices_is_guessed_to_be_after_contrast() -> None:
    volume = replace(
        t1("sT1W_3D_ISO"), acquisition_type="3D", scanning_sequence=("GR",), repetition_time_ms=25, echo_time_ms=4.6
    )
    assert said(t1("T1W_SE"), volume) == [(T1W, "guess"), (T1WCE, "guess")]
    fat = replace(volume, series_description="vibe", scan_options=("FS",))
    assert said(volume, fat) == [(T1W, "guess"), (T1WCE, "guess")]
    assert said(t1("t1_tse_tra"), t1("t1_tse_tra_xyz")) == [(T1W, "guess"), (T1WCE, "guess")]


def test_a_lone_series_is_before_contrast_unless_much_speaks_against_it() -> None:
    before = replace(T2, acquired_seconds=10 * HOUR)
    volume = replace(t1("T1", 20), acquisition_type="3D", examination="RM CON MDC")
    assert said(before, volume)[1] == (T1WCE, "guess")
    for other in (
        replace(volume, examination=""),
        replace(volume, acquisition_type="2D"),
        replace(volume, acquired_seconds=9.5 * HOUR),
    ):
        assert said(before, other)[1] == (T1W, "likely")


def test_the_name_of_an_examination_says_nothing_of_a_series() -> None:
    protocol = "BRAIN T1 W CONTRAST"
    found = recognise(*(replace(one, protocol_name=protocol) for one in (t1("AX T1"), t1("AX T1 POST"), T2)))
    assert [one.sequence for one in found] == [T1W, T1WCE, T2W]


def test_a_reformat_stands_aside_for_its_original_and_in_for_a_missing_one() -> None:
    original = replace(T2, image_type=("ORIGINAL", "PRIMARY", "M"))
    reformat = replace(T2, series_description="T2_MPR_Tra", image_type=("DERIVED", "SECONDARY", "MPR"))
    assert said(original, reformat) == [(T2W, "certain"), (UNKNOWN, "")]
    assert said(reformat) == [(T2W, "likely")]
    t1_reformat = t1("T1 MPR", 30, image_type=("DERIVED", "SECONDARY", "MPR"))
    assert said(t1("T1", 0), t1_reformat) == [(T1W, "likely"), (UNKNOWN, "")]
    projection = t1("T1 tra", 30, image_type=("DERIVED", "PRIMARY", "PROJECTION IMAGE", "M", "FFE"))
    assert said(t1("T1", 0), projection) == [(T1W, "likely"), (UNKNOWN, "")]
    mprage = t1("t1_mpr_sag", image_type=("ORIGINAL", "PRIMARY", "M"))
    assert said(t1("T1 +C"), mprage) == [(T1WCE, "certain"), (T1W, "likely")]


def test_a_subtraction_takes_no_part_in_the_order() -> None:
    found = recognise(t1("T1", 0), t1("T1 SUB", 30))
    assert [(one.sequence, one.confidence) for one in found] == [(T1W, "likely"), (UNKNOWN, "")]


def test_two_files_that_both_state_t1w_are_not_certain() -> None:
    files = [SeriesEvidence(file=f"sub-01_run-0{number}_T1w") for number in (1, 2)]
    assert [found.confidence for found in recognise_study(files)] == ["likely", "likely"]
    assert recognise_study(files[:1])[0].confidence == "certain"


NAMES = st.sampled_from(["T1", "T1 +C", "T1 mdc", "T1 pre", "T1_3D", "t1_mprage_c", "T2", "FLAIR", "DWI", "", "T1 MPR"])
SERIES = st.builds(
    t1, NAMES, st.none() | st.integers(0, 200), series_number=st.none() | st.integers(1, 9),
    contrast_agent=st.sampled_from(["", "Dotarem"]), acquisition_type=st.sampled_from(["2D", "3D"]),
    examination=st.sampled_from(["", "con mdc", "without contrast"]),
)  # fmt: skip


@given(st.lists(SERIES, max_size=4))
def test_the_answer_does_not_depend_on_the_order_in_which_series_are_given(series: list[Acquisition]) -> None:
    expected = recognise(*series)
    for order in permutations(range(len(series))):
        found = recognise(*(series[place] for place in order))
        assert [found[order.index(place)] for place in range(len(series))] == expected


@given(st.lists(SERIES, max_size=4))
def test_without_a_word_about_contrast_none_is_certainly_after_it(series: list[Acquisition]) -> None:
    for one, found in zip(series, recognise(*series), strict=True):
        if found.sequence is T1WCE and found.confidence == "certain":
            assert one.series_description in ("T1 +C", "T1 mdc", "t1_mprage_c")


@pytest.mark.parametrize("number", [0, 1])
def test_a_study_of_few_series(number: int) -> None:
    assert len(recognise(*[T2][:number])) == number
