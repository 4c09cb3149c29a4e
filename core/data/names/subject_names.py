"""What the names of files and folders say of whose a scan is, and of which session."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.data.index.recognise import recognise_name
from core.files import load_table
from core.mri import MRSequence

BIDS_ENTITY = re.compile(
    r"(?:^|_)(?:run|acq|ce|rec|dir|echo|part|desc|space|res|label|mod|inv|mt|flip|hemi|den|recording|proc|chunk)-[A-Za-z0-9+]+"
)
"""Parts of a BIDS name that tell the files of one session apart."""
BETWEEN = re.compile(r"[_\-.\s]+")
SUBJECT = re.compile(r"(?:sub|subj|subject|pat|patient|case|pt|id|p)\d+|[a-z]{1,8}\d{3,}")
"""A word that numbers a person wherever it stands in a name."""
_WORDS = load_table(__file__)
SUBJECT_WORDS = frozenset(_WORDS["subject"])
"""Words after which a number is a person's."""
SESSION_WORDS = frozenset(_WORDS["session"])
SESSION = re.compile(rf"(?:{'|'.join(sorted(SESSION_WORDS, key=len, reverse=True))})(?:\d*d?|[a-z])|\d+d?")
"""A word of a session's name: week, 000, Timepoint2, FU003d, 20190304."""
TIMEPOINT = r"[Tt]\d{1,2}"
"""A word of a session's name that can be a sequence's (:mod:`core.data.names.timepoints`)."""
PLAIN_WORDS = frozenset(_WORDS["plain"])
"""Words that name a kind of file or of image, and nobody."""
COUNTED_WORDS = frozenset(_WORDS["counted"])
"""Words that are followed by the number of a series, an image or a template."""
COLLECTION_WORDS = frozenset(_WORDS["collection"])
"""Words whose number is that of many patients: fold2, site3, grade4."""
LEADING_NUMBER = re.compile(r"\d+(?![A-Za-z\d])")
DATE_FIRST = re.compile(r"[12]\d{3}([-_. ]?)[01]\d\1[0-3]\d(?!\d)[_\-. ]*")
FEWEST_SERIES = 2
"""So many different numbers after a person's can be those of sessions; more, each of one file, are those of series."""
SERIES_FOLDER = re.compile(r"(?:series|ser|se)[-_ ]?\d+", re.IGNORECASE)
"""A folder that is named by the number of a series, as scanners export it: SE0001, Series 3."""


@dataclass(frozen=True, slots=True)
class NameParts:
    """The words of a name that can tell whose it is."""

    subject: tuple[str, ...]
    """Those that say so by themselves."""
    numbers: tuple[str, ...]
    """Short numbers before the sequence: a person's, a session's or a series'."""
    tail: tuple[str, ...]
    """Words and numbers after the sequence: mostly a description."""


def read_name(stem: str) -> NameParts:
    """Take the words that say nothing of a person out of a file's name."""
    words = [word for word in BETWEEN.split(BIDS_ENTITY.sub("", stem).lower()) if word]
    sequence_at = next((at for at, word in enumerate(words) if _names_sequence(word)), len(words))
    subject: list[str] = []
    numbers: list[str] = []
    tail: list[str] = []
    for at, word in enumerate(words):
        numbered = at > 0 and words[at - 1] in SUBJECT_WORDS | SESSION_WORDS and word.isdecimal()
        if numbered or _numbers_person(word):
            subject.append(word)
        elif _is_plain(word) or _names_sequence(word):
            continue
        elif at > sequence_at:
            tail.append(word)
        elif word.isdecimal() and len(word) <= 3 and (not word.startswith("0") or len(word) == 1):
            numbers.append(word)
        else:
            subject.append(word)
    return NameParts(tuple(subject), tuple(numbers), tuple(tail))


def _numbers_person(word: str) -> bool:
    return SUBJECT.fullmatch(word) is not None and not _is_plain(word)


def _names_sequence(word: str) -> bool:
    return word not in SUBJECT_WORDS and recognise_name(word) is not None


def _is_plain(word: str) -> bool:
    """Whether a word, or what stands before its number, names a kind of file: mask, mni152, im0001."""
    return word in PLAIN_WORDS or word.rstrip("0123456789") in COUNTED_WORDS


def group_names(names: Sequence[tuple[str, MRSequence | None]], *, alone: bool) -> list[tuple[str, ...]] | None:
    """Tell of each of the files of one folder whose it is, by what their names share.

    Parameters
    ----------
    names
        Stem and sequence of each.
    alone
        Whether the folder is all that was handed in, so that nothing above it says that it is one person's.

    Returns
    -------
    list of tuple or None
        Files of one person and session have the same words, which are empty where a name says nothing. None where
        the numbers in the names can be series' or persons'.
    """
    parts = [read_name(stem) for stem, _ in names]
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, part in enumerate(parts):
        groups[part.subject].append(at)
    keys: list[tuple[str, ...]] = [()] * len(names)
    for subject, members in groups.items():
        sequences = [names[at][1] for at in members]
        counts = Counter(parts[at].numbers for at in members)
        numbers = _take(counts, sequences, alone=alone, shared_is_enough=True)
        if numbers is False and subject and 1 < len(counts) <= FEWEST_SERIES:
            return None
        tails = _take(Counter(parts[at].tail for at in members), sequences, alone=alone, shared_is_enough=False)
        if numbers is None:
            return None
        for at in members:
            keys[at] = (*subject, *(parts[at].numbers if numbers else ()), *(parts[at].tail if tails else ()))
    return keys


def _take(
    counts: Counter[tuple[str, ...]], sequences: Sequence[MRSequence | None], *, alone: bool, shared_is_enough: bool
) -> bool | None:
    """Whether doubtful words tell people or sessions apart; None where they may and may not."""
    recurs = len(set(sequences)) < len(sequences)
    if len(counts) < 2 or not (recurs or shared_is_enough):
        return False
    if any(words and count > 1 for words, count in counts.items()):
        return True
    if len(set(sequences)) == 1:
        return alone
    return None if alone and recurs and shared_is_enough else False


def name_subject(stem: str, words: Sequence[str]) -> str:
    """Return the part of a file's name that holds the words that tell whose it is, as it is written there.

    It is the name's beginning up to the last of them, or only they where the sequence stands before them.
    """
    spans = []
    end = 0
    for word in words:
        begin = stem.lower().find(word, end)
        end = begin + len(word)
        spans.append((begin, end))
    start = stem[:end]
    if any(map(_names_sequence, filter(None, BETWEEN.split(start.lower())))):
        return "_".join(stem[begin:end] for begin, end in spans)
    return start


def words_of_image(stem: str) -> tuple[str, ...]:
    """Return the numbered words of the name of an image, whose last number is its slice: ``00430_FLAIR_12`` has 00430."""
    words = read_name(stem.rstrip("0123456789")).subject
    return tuple(word for word in words if any(map(str.isdecimal, word)))


def name_patient_of_image(stem: str) -> tuple[str, str]:
    """Return the study and the patient that the name of one of many patients' images states; two empty texts where it does not.

    It is the number that the name begins with (``00430_FLAIR_12`` is of 00430), where that is no date, no letter follows it
    (3D) and no other word numbers a person; else the numbered words before the sequence or the word for a slice, up to which the name
    is the patient's (``B10_FLAIR_01``, ``patient-7-T2-slice3``). Without such a word the last number may be the patient's as
    well as the slice's, and ``fold2_FLAIR_01`` states many patients' number: these state no patient. A date is part of the
    study's name and not of the patient's.
    """
    date = DATE_FIRST.match(stem)
    number = None if date else LEADING_NUMBER.match(stem)
    if number and not any(map(_numbers_person, read_name(stem[number.end() :].rstrip("0123456789")).subject)):
        return number[0], number[0]
    start = date.end() if date else 0
    own = _name_by_words(stem[start:])
    patient = split_session(own)[0]
    return (stem[:start] + own if own else ""), patient


def _name_by_words(stem: str) -> str:
    """Return the part of an image's name that numbers a patient, the last number being its slice's."""
    without_slice = stem.rstrip("0123456789")
    parts = read_name(without_slice)
    words = [word for word in BETWEEN.split(without_slice.lower()) if word]
    tells_slice = any(map(_names_sequence, words)) or bool(words and words[-1] in COUNTED_WORDS)
    after = tuple(word for word in parts.tail if word.isdecimal() and len(word) > 2)
    named = (*parts.subject, *parts.numbers) or after
    is_numbered = any(
        any(map(str.isdecimal, word)) and word.rstrip("0123456789") not in COLLECTION_WORDS for word in named
    )
    return name_subject(stem, sorted(named, key=words.index)) if tells_slice and is_numbered else ""


def may_number_series(name: str) -> bool:
    """Whether a folder's name may be the number of a series, which may as well be a patient's or a class': 3, SE0001."""
    return name.isdecimal() or SERIES_FOLDER.fullmatch(name) is not None


def is_plain_folder(name: str) -> bool:
    """Whether a folder is named as a sequence or a kind of file is, so that it holds a part of a study."""
    words = [word for word in BETWEEN.split(name.lower()) if word]
    return (
        recognise_name(name) is not None
        or bool(SERIES_FOLDER.fullmatch(name))
        or all(word in PLAIN_WORDS for word in words)
    )


def subject_of_folder(name: str) -> str:
    """Return the words of a sequence folder's name that number a person, as in ``sub-01_T1w``; mostly empty."""
    words = [word for word in BETWEEN.split(name.lower()) if word]
    found = [
        word
        for at, word in enumerate(words)
        if _numbers_person(word) or (at > 0 and words[at - 1] in SUBJECT_WORDS and word.isdecimal())
    ]
    return "_".join(found)


def is_session_name(name: str) -> bool:
    """Whether a name is that of a session: ``ses-01``, ``week-000-1``, ``Timepoint_2``, ``pre-op``, ``2019-03-04``."""
    words = [word for word in BETWEEN.split(name.lower()) if word]
    is_date = bool(re.fullmatch(r"[12]\d{3}[-_.]?\d{2}[-_.]?\d{2}", name))
    named = bool(words) and words[0][0].isalpha()
    return is_date or (named and all(map(SESSION.fullmatch, words)))


def split_session(name: str) -> tuple[str, str]:
    """Split a study's name into its person and its session, which may be empty: ``P1_ses-2`` is ``P1`` and ``ses-2``."""
    for match in re.finditer(r"[_\-. ]", name):
        person, session = name[: match.start()], name[match.end() :]
        if person and (is_session_name(session) or re.fullmatch(TIMEPOINT, session)):
            return person, session
    return name, ""
