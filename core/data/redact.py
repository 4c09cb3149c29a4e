"""Free text of a header without the words that its own identifying attributes hold.

Series Description and Protocol Name are typed by hand at the scanner, now and then with the patient's name in them.
The values that are compared here are dropped at once: no header keeps them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from core.data.formats.elements import Elements, text_of
from core.data.index.recognise import recognise_name
from core.data.sequences.names import AFTER, AGENTS, BEFORE, LOCALISERS, NEGATIONS
from core.files import load_table

REDACTED = "[redacted]"
_WORDS = load_table(__file__)
NAMES = tuple(_WORDS["names"])
"""Attributes whose words are the names of people."""
IDS = ("PatientID", "OtherPatientIDs", "AccessionNumber")
"""Attributes that number a person or an examination."""
NAMING_TAGS: list[int] = [tag for tag in map(tag_for_keyword, (*NAMES, *IDS)) if tag is not None]

SHORTEST_NAME, SHORTEST_ID = 3, 4
"""Characters. A shorter word says nothing of a person, and occurs everywhere; that of another script may be whole."""
EVERYDAY = frozenset(_WORDS["everyday"])
SURNAMES = frozenset(_WORDS["surnames"])
"""Words of sequence names that are people's names as well: taken out, if a person here bears one."""
KEPT = (EVERYDAY | LOCALISERS | NEGATIONS).union(AGENTS, AFTER, BEFORE) - SURNAMES
"""What MR series are called, and are recognised by, whoever bears it as a name."""

LETTERS = re.compile(r"[^\W\d_]+")
LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")


class Redactor:
    """Takes the words of one header's identifying attributes out of its other texts.

    Parameters
    ----------
    dataset
        The elements, those of :data:`NAMING_TAGS` among them.
    path
        The file. A Patient ID that is the name of one of its folders, the study's id, is no secret here.
    """

    def __init__(self, dataset: Elements, path: Path) -> None:
        folders = {_fold(part) for part in path.parts[:-1]}
        ids = (text_of(dataset, keyword) for keyword in IDS)
        self._values = tuple(text_of(dataset, keyword) for keyword in NAMES)
        self._ids = tuple(value for value in ids if _fold(value) not in folders)

    def clean(self, text: str) -> str:
        """Return a text with each such word replaced by :data:`REDACTED`, whatever its case and its accents."""
        return _clean(text, self._values, self._ids) if text else text


@lru_cache(maxsize=64)  # the slices of a series share one; small, for it holds names
def _clean(text: str, names: tuple[str, ...], ids: tuple[str, ...]) -> str:
    letters = {_fold(word) for value in (*names, *ids) for word in LETTERS.findall(value) if _is_name(word)}
    numbers = {
        _fold(word)
        for value in ids
        for word in LETTERS_AND_DIGITS.findall(value)
        if len(word) >= SHORTEST_ID and not word.isalpha() and recognise_name(word) is None
    }
    text = LETTERS_AND_DIGITS.sub(lambda word: REDACTED if _fold(word[0]) in numbers else word[0], text)
    return LETTERS.sub(lambda word: REDACTED if _fold(word[0]) in letters else word[0], text)


def _is_name(word: str) -> bool:
    shortest = SHORTEST_NAME if word.isascii() else SHORTEST_NAME - 1
    plain = word.lower()
    return len(word) >= shortest and plain not in KEPT and (plain in SURNAMES or recognise_name(word) is None)


def _fold(text: str) -> str:
    """Drop case and accents: Müller, MULLER and muller are one."""
    parts = unicodedata.normalize("NFKD", text.strip()).casefold()
    return parts if parts.isascii() else "".join(part for part in parts if not unicodedata.combining(part))
