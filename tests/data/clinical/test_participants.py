"""Which session of each person is used: the order of their names, in words, numbers and dates."""

from pathlib import Path

import pytest

from core.data.clinical.participants import choose_sessions, order_sessions
from core.data.cohort import scan_cohort
from core.data.names.session_names import operation_of, title_session
from core.data.study import Cohort, Study
from core.errors import ConfigError
from tests.data.cohorts import trees


def make_cohort(*sessions: str, **others: tuple[str, ...]) -> Cohort:
    """One person with some sessions, in that order, and others by name."""
    persons = {"P1": sessions, **others}
    studies = [
        Study(study_id=f"{person}_{session}", person=person, label=None, series=(), session=session)
        for person, theirs in persons.items()
        for session in theirs
    ]
    return Cohort(root=Path("data"), layout="rsna", studies=tuple(studies))


def chosen(cohort: Cohort, wanted: str | None = None) -> list[str]:
    return [study.session for study in choose_sessions(cohort, wanted)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("preop", "postop"),
        ("pre-op", "post-op"),
        ("pre-RT", "post-RT"),
        ("initial", "followup"),
        ("diagnosis", "ses-recurrence"),
        ("zero", "progression"),
        ("pre-surgery", "post-surgery"),
        ("presurgical", "postsurgical"),
        ("vor_OP", "nach_OP"),
        ("vorOP", "nachOP"),
        ("prä-op", "Verlauf"),
        ("präoperativ", "postoperativ"),
        ("vor Therapie", "nach Therapie"),
        ("préopératoire", "après"),
        ("avant", "apres_chirurgie"),
        ("ses-x", "suivi"),
        ("preoperatorio", "posoperatorio"),
        ("antes", "después"),
        ("zz", "seguimiento"),
        ("prima_op", "dopo_op"),
        ("pré-op", "pós-op"),
        ("antes", "apos"),
        ("voor_OP", "na_OP"),
        ("voor", "vervolg"),
        ("do_operacii", "posle_operacii"),
        ("do_op", "posle"),
        ("zz", "Rezidiv"),
        ("zz", "récidive"),
        ("week-2", "week-10"),
        ("2019-12-31", "2020-2-01"),
        ("20191231", "20200105"),
        ("12-31-2019", "01-05-2020"),
        ("12-31-2019-NA-MRI BRAIN-1", "01-05-2020-NA-MRI BRAIN-1"),
        ("31.12.2019", "05.01.2020"),
        ("05.02.2020", "04.03.2020"),
        ("31-12-2019", "05-01-2020"),
        ("ses-31_12_2019", "ses-05_01_2020"),
        ("01-02-2019", "02-01-2020"),
    ],
)
def test_the_first_session_is_the_default_and_the_last_is_asked_for(first: str, last: str) -> None:
    for sessions in ((first, last), (last, first)):
        assert chosen(make_cohort(*sessions)) == [first]
        assert chosen(make_cohort(*sessions), "last") == [last]


def test_no_word_is_found_within_another() -> None:
    for name in ("donor", "position", "nachum", "vorname", "apostrophe", "data", "sunday"):
        (study,) = make_cohort(name).studies
        assert operation_of(study) == "", name


@pytest.mark.parametrize(
    "name",
    [
        "pre-RT",
        "preRT",
        "pre_radiotherapy",
        "prior pre-chemoradiation",
        "post-op_pre-RT",
        "vor Bestrahlung",
        "avant radiothérapie",
        "antes de radio",
        "pre-TMZ",
        "before radiation",
        "pre-CRT",
        "before the radiotherapy",
    ],
)
def test_a_session_before_radiotherapy_is_no_pre_operative_one(name: str) -> None:
    (study,) = make_cohort(name).studies
    assert operation_of(study) in ("before radiotherapy", "after")
    assert "after the operation" in title_session(study)
    assert chosen(make_cohort(name, "pre-op")) == ["pre-op"]
    assert chosen(make_cohort(name, "baseline", "post-RT")) == ["baseline"]
    assert chosen(make_cohort(name, "post-RT")) == [name]


def test_a_session_before_the_operation_stays_so_beside_radiotherapy() -> None:
    for name in ("pre-op", "pre-treatment", "vor Therapie", "pre-op pre-RT"):
        assert operation_of(make_cohort(name).studies[0]) == "before", name


def test_the_other_dates_of_the_cohort_say_whether_the_day_or_the_month_is_first() -> None:
    assert chosen(make_cohort("01-05-2020", "04-03-2020", P2=("12-31-2019",))) == ["01-05-2020", "12-31-2019"]
    assert chosen(make_cohort("01-05-2020", "04-03-2020", P2=("31-12-2019",))) == ["04-03-2020", "31-12-2019"]


def test_dates_of_which_day_and_month_cannot_be_told_are_refused_where_the_order_depends_on_it() -> None:
    cohort = make_cohort("01-05-2020", "04-03-2020")
    for wanted in (None, "last"):
        with pytest.raises(ConfigError, match=r"P1.*01-05-2020, 04-03-2020.*2020-01-05.*--session"):
            chosen(cohort, wanted)
    assert chosen(cohort, "01-05-2020") == ["01-05-2020"]
    assert len(chosen(cohort, "all")) == 2
    assert len(order_sessions(cohort)) == 2
    assert chosen(make_cohort("preop 01-05-2020", "postop 04-03-2020")) == ["preop 01-05-2020"]


def test_a_session_is_chosen_by_what_its_name_means(tmp_path: Path) -> None:
    root = trees.write_upenn(tmp_path)
    assert scan_cohort(root, session="baseline").studies == scan_cohort(root, session="11").studies
    assert [one.session for one in scan_cohort(root, session="Follow-up")] == ["21"]
    with pytest.raises(ConfigError, match=r"there are: 11, 21 \(or baseline, follow-up\)\."):
        scan_cohort(root, session="31")
