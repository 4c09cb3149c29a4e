"""What a cell of a clinical table says of a marker: present, absent, or that it is not known."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from core.files import load_table

_WORDS = load_table(__file__)
NOT_KNOWN = frozenset(_WORDS["not_known"])
"""Words of which one suffices to say that the status is not known."""
NOT_DONE = re.compile(
    r"\b(?:not|non|no|n)\s(?:available|determined|done|tested|assessed|known|evaluable|performed|a|data|result"
    r"|reported|recorded|applicable|provided|stated|specified|examined|measured)\b|\bgr[ae]y\s?zone\b"
)
NOT_KNOWN_CODES = frozenset(_WORDS["not_known_codes"])
"""Numbers that stand for a missing value where a status or an index is expected."""
BRACKETS = re.compile(r"\(.*?\)|\[.*?\]")
NEGATIONS = frozenset(_WORDS["negations"])
NEGATED_STEM = re.compile(r"(?:un|non|de|hypo)met[hi]")
NEGATED_NAME = re.compile(rf"(?<![a-z])(?:de|hypo|{'|'.join(sorted(filter(str.isalpha, NEGATIONS)))})[\W_]*met[hi]")
CODED_ZERO = re.compile(rf"(?<!\d)0[\W_]*{NEGATED_NAME.pattern}")
"""A column's name that says which number is unmethylated: ``MGMT (0=unmethylated, 1=methylated)``."""
AFFIRMATIONS = frozenset(_WORDS["affirmations"])
AFFIRMED_STEM = re.compile(r"(?:hyper)?(?:methyl|metil)|meth$")
FILLERS = frozenset(_WORDS["fillers"])
KNOWN_SPELLINGS = "0 or 1, Methylated or Unmethylated, positive or negative, or a word such as unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a cell says."""

    present: bool | None
    """None where it is not known."""
    reason: str = ""
    """Why it is not known, as a clause."""


def read_number(text: str) -> float | None:
    """Return a number written with a decimal point or comma; None for anything else."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def is_not_known(text: str) -> bool:
    """Whether a cell is empty or says that a value is not known, in a table's usual words."""
    words = _split(text)
    return bool(NOT_KNOWN & set(words)) or not words or NOT_DONE.search(" ".join(words)) is not None


def read_status(text: str) -> Status | None:
    """Return what a cell says of a marker such as MGMT promoter methylation; None where it cannot be told.

    Negations are looked for first: "not methylated" and "Unmethylated" hold the word "methylated".
    """
    number = read_number(text)
    if number is not None and number not in NOT_KNOWN_CODES:
        return Status(present=bool(number)) if number in (0, 1) else None
    if number is not None or is_not_known(text):
        return Status(present=None, reason=f"is {text.strip()!r}" if text.strip() else "is empty")
    words = [word for word in _split(text) if word not in FILLERS]
    negated = {word for word in words if word in NEGATIONS or NEGATED_STEM.match(word)}
    affirmed = {word for word in words if word in AFFIRMATIONS or AFFIRMED_STEM.match(word)}
    contradicts = any(map(NEGATED_STEM.match, words)) and any(map(AFFIRMED_STEM.match, words))
    if len(negated | affirmed) < len(set(words)) or not words or contradicts:
        return None
    return Status(present=not negated)


def is_turned(column: str, cell: str) -> bool:
    """Whether a cell of a column may mean the opposite: ``yes`` where the column's name says unmethylated."""
    name = _plain(column)
    says_itself = re.search(r"met[hi]|^\W*(?:u|um|m)\W*$", _plain(cell))
    return not says_itself and bool(NEGATED_NAME.search(name)) and not CODED_ZERO.search(name)


def _plain(text: str) -> str:
    """Return a text in lower case without accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def _split(text: str) -> list[str]:
    """Split a cell into lower-case words without accents; what stands in brackets is left out."""
    return re.findall(r"[a-z0-9]+", _plain(BRACKETS.sub(" ", text)))
