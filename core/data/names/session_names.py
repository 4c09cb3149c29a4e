"""What the names of sessions say of time: before or after the operation, in several languages, and dates."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal, get_args

from core.files import load_table

if TYPE_CHECKING:
    from core.data.study import Study

Place = Literal["before", "", "before radiotherapy", "after"]
"""Of a session, by the operation, in the order in which they are used; empty is not known. Radiotherapy and chemotherapy come
after the operation as a rule, so that a session before them is no pre-operative one."""
PLACES: tuple[Place, ...] = get_args(Place)
PLACE_TITLES: dict[Place, str] = {
    "before": "before the operation",
    "": "before or after the operation: its name does not say",
    "before radiotherapy": "before radiotherapy: as a rule after the operation",
    "after": "after the operation",
}

_WORDS = load_table(__file__)
OPERATION = "|".join(_WORDS["operation"])


def _compile(kind: str) -> re.Pattern[str]:
    words = {name: "|".join(found) for name, found in _WORDS[kind].items()}
    return re.compile(
        rf"(?<![a-z])(?:(?:{words['words']})(?![a-z])|{words['starts']}|(?:{words['with_operation']})_?(?:{OPERATION})"
        rf"|(?:{words['apart_from_operation']})_(?:{OPERATION}))|{words['anywhere']}"
    )


BEFORE, AFTER = _compile("before"), _compile("after")
"""Names of sessions before and after an operation, as :func:`_plain` writes them."""
_PRE = "|".join((*_WORDS["before"]["words"], *_WORDS["before"]["with_operation"]))
BEFORE_RADIOTHERAPY = re.compile(
    rf"(?<![a-z])(?:{_PRE})_?(?:(?:the|der|de|la)_){{0,2}}(?:{'|'.join(_WORDS['radiotherapy'])})[a-z]*"
)
YEAR = r"((?:1[89]|2[01])\d\d)"
COMPACT = re.compile(rf"(?<!\d){YEAR}(\d\d)(\d\d)(?!\d)")
YEAR_FIRST = re.compile(rf"(?<!\d){YEAR}([-_. ])(\d\d?)\2(\d\d?)(?!\d)")
YEAR_LAST = re.compile(rf"(?<!\d)(\d\d?)([-_. ])(\d\d?)\2{YEAR}(?!\d)")


def find_operation(name: str) -> Place:
    """Return whether a session is before or after the operation, by its name; empty where that says neither, or both."""
    plain, early = BEFORE_RADIOTHERAPY.subn("", _plain(name))
    before, after = BEFORE.search(plain), AFTER.search(plain)
    if before and after:
        return ""
    if early and not before:
        return "before radiotherapy"
    return "before" if before else "after" if after else ""


def operation_of(study: Study) -> Place:
    """Return whether a study's session is before or after the operation, by its name; empty where that does not say."""
    return find_operation(f"{study.session} {study.session_words}")


def title_session(study: Study) -> str:
    """Return the session with what is known of it, such as "21 (follow-up: after the operation)"; empty without one."""
    place = PLACE_TITLES[operation_of(study)]
    return f"{study.session} ({': '.join(filter(None, (study.session_words, place)))})" if study.session else ""


def read_dates(names: Iterable[str]) -> dict[str, tuple[date, ...]]:
    """Return the dates in names that hold one; two where the day and the month cannot be told apart.

    A year may stand first (``20190304``, ``2019-3-04``) or last: ``31.12.2019`` with dots has the day first, ``12-31-2019``
    mostly the month, as TCIA writes it. Whichever is right for all of `names` is taken, so pass a whole cohort's.
    """
    found: dict[str, tuple[date, ...]] = {}
    dotted: dict[str, tuple[date | None, date | None]] = {}
    dashed: dict[str, tuple[date | None, date | None]] = {}
    for name in set(names):
        first = COMPACT.search(name) or YEAR_FIRST.search(name)
        last = YEAR_LAST.search(name)
        if first:
            numbers = [int(text) for text in first.groups() if text.isdecimal()]
            day = _make_date(*numbers)
            found |= {name: (day,)} if day else {}
        elif last:
            one, mark, two, year = last.groups()
            readings = (_make_date(int(year), int(one), int(two)), _make_date(int(year), int(two), int(one)))
            (dotted if mark == "." else dashed)[name] = readings
    return found | _choose_reading(dotted, sure=1) | _choose_reading(dashed)


def _choose_reading(
    readings: dict[str, tuple[date | None, date | None]], sure: int | None = None
) -> dict[str, tuple[date, ...]]:
    """Keep of month first and day first the one that is right for all; of both the sure one, if there is such."""
    right = [at for at in (0, 1) if all(pair[at] for pair in readings.values())]
    kept: Sequence[int] = [sure] if sure is not None and sure in right else right or (0, 1)
    dates = {name: tuple(dict.fromkeys(day for at in kept if (day := pair[at]))) for name, pair in readings.items()}
    return {name: days for name, days in dates.items() if days}


def _make_date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _plain(name: str) -> str:
    """Return a name in lower case without accents, its words joined by underscores."""
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower())
