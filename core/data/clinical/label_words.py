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
    r"\b(?:not|non|no|n)\s(?:available|determined|done|tested|assessed|known|evaluable|performed|a|data|result)\b"
)
NEGATIONS = frozenset(_WORDS["negations"])
NEGATED_STEM = re.compile(r"(?:un|non|de|hypo)met[hi]")
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
    if number is not None:
        return Status(present=bool(number)) if number in (0, 1) else None
    if is_not_known(text):
        return Status(present=None, reason=f"is {text.strip()!r}" if text.strip() else "is empty")
    words = [word for word in _split(text) if word not in FILLERS]
    negated = {word for word in words if word in NEGATIONS or NEGATED_STEM.match(word)}
    affirmed = {word for word in words if word in AFFIRMATIONS or AFFIRMED_STEM.match(word)}
    contradicts = any(map(NEGATED_STEM.match, words)) and any(map(AFFIRMED_STEM.match, words))
    if len(negated | affirmed) < len(set(words)) or not words or contradicts:
        return None
    return Status(present=not negated)


def _split(text: str) -> list[str]:
    """Split a cell into lower-case words without accents; what stands in brackets is left out."""
    plain = unicodedata.normalize("NFKD", re.sub(r"\(.*?\)|\[.*?\]", " ", text)).encode("ascii", "ignore").decode()
    return re.findall(r"[a-z0-9]+", plain.lower())
