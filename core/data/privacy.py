"""Which attributes of an upload can identify the patient: their names, never their values.

The project keeps an allow-list of attributes (:mod:`core.data.formats.header`) and no other; names and numbers of people are
read only to take them out of the texts on that list (:mod:`core.data.redact`). This check reports only
whether the identifying ones (:mod:`core.data.identifying`) are present, so that a user knows before passing files on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from core.data.study import Series

NAMED_AT_ONCE = 6


def survey_identifying_tags(series: Iterable[Series]) -> dict[str, int]:
    """Count, for each identifying attribute, the files of the series that hold it; sorted by keyword.

    Files that state Patient Identity Removed (0012,0062) are not counted. The scan already told which series hold
    what, so nothing is read here; a series counts with all its files.
    """
    counts: Counter[str] = Counter()
    for one in series:
        counts.update(dict.fromkeys(one.identifying, len(one.files)))
    return dict(sorted(counts.items()))


def privacy_warnings(series: Iterable[Series]) -> tuple[str, ...]:
    """Return a warning where an upload holds identifying attributes, and one where its pixels may carry text."""
    examined = list(series)
    found = list(survey_identifying_tags(examined))
    warnings = []
    if found:
        more = f" and {len(found) - NAMED_AT_ONCE} more" if len(found) > NAMED_AT_ONCE else ""
        warnings.append(
            f"The files hold identifying attributes ({', '.join(found[:NAMED_AT_ONCE])}{more}). Their values are neither "
            "shown nor kept here; de-identify the files before you pass them on."
        )
    captured = sorted({str(one.sequence) for one in examined if one.burned_in})
    if captured:
        warnings.append(
            f"Text may be burned into the pixels ({', '.join(captured)}): the files say so, or are screen captures. "
            "It may name the patient, and it is no anatomy."
        )
    return tuple(warnings)
