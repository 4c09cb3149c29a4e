"""What a cell of a clinical table says of a marker: present, absent, or that it is not known."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from core.data.sequences.tables import TABLES
from core.files import load_table

_WORDS = load_table(__file__)
LETTERS: dict[str, str] = TABLES["letters"]
NOT_KNOWN = frozenset(_WORDS["not_known"])
"""Words of which one suffices to say that the status is not known."""
NOT_DONE = re.compile(
    r"\b(?:not|non|no|n)\s(?:be\s)?(?:available|determined|done|tested|assessed|known|evaluable|evaluated|performed|a|data|result"
    r"|reported|recorded|applicable|provided|stated|specified|examined|measured|interpretable|informative|conclusive"
    r"|enough|tissue|sample|test|b|d|r)\b|\bgr[ae]y\s?zone\b|\bk\sa\b|#(?:value|ref|div|name|null|num)\b"
    r"|\b(?:nicht|keine|non|pas|no|sin|nao|sem|niet|geen|nie|ne|net|ikke|inte)\s(?:bestimm|verfugbar|getest|durchgefuhrt"
    r"|angabe|determin|dispon|fait|renseign|test|realiz|hecho|dato|dado|informa|noto|nota|eseguit|bepaald|beschikbaar"
    r"|bekend|gegevens|oznacz|badan|opredel|dann|kendt|kjent|undersok)"
)
NOT_KNOWN_CODES = frozenset(_WORDS["not_known_codes"])
"""Numbers that stand for a missing value where a status, an index or another code is expected."""
UNKNOWN_STATUS = 9
"""Stands for a status that is not known, beside 0 and 1; an index may be 9."""
BRACKETS = re.compile(r"\(.*?\)|\[.*?\]")
PERCENT = re.compile(r"[<>~]?\s*\d+(?:[.,]\d+)?\s*%")
NEGATIONS = frozenset(_WORDS["negations"])
NEGATED_STEM = re.compile(r"(?:un|non|de|hypo|onge|on|nie|ne|u|o)met[hiy]|met[hi]l\w*s[iu]z$")
NEGATED_NAME = re.compile(rf"(?<![a-z])(?:de|hypo|{'|'.join(sorted(filter(str.isalpha, NEGATIONS)))})[\W_]*met[hi]")
CODED = re.compile(r"(?<![\d.])(\d{1,2})\s*[=:]?\s*([^\W\d][^\d,;/()\[\]|]*)")
"""A number in a column's name and what it stands for: ``MGMT (0=unmethylated, 1=methylated)``."""
AFFIRMATIONS = frozenset(_WORDS["affirmations"])
AFFIRMED_STEM = re.compile(r"(?:hyper|ge|z)?(?:methyl|metil|metyl)|meth$")
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
    said = " ".join(words) if not text.lstrip().startswith("#") else f"#{' '.join(words)}"
    blank = not words and not any(map(str.isalpha, text))
    return bool(NOT_KNOWN & set(words)) or blank or NOT_DONE.search(said) is not None


def read_status(text: str) -> Status | None:
    """Return what a cell says of a marker such as MGMT promoter methylation; None where it cannot be told.

    Negations are looked for first: "not methylated" and "Unmethylated" hold the word "methylated".
    """
    number = read_number(text)
    if number is not None and number not in NOT_KNOWN_CODES and number != UNKNOWN_STATUS:
        return Status(present=bool(number)) if number in (0, 1) else None
    if text.strip().strip("()") in ("+", "++", "+++"):
        return Status(present=True)
    if number is not None or is_not_known(text):
        return Status(present=None, reason=f"is {text.strip()!r}" if text.strip() else "is empty")
    words = [word for word in _split(PERCENT.sub(" ", text)) if word not in FILLERS]
    negated = {word for word in words if word in NEGATIONS or NEGATED_STEM.match(word)}
    affirmed = {word for word in words if word in AFFIRMATIONS or AFFIRMED_STEM.match(word)}
    stems = {bool(NEGATED_STEM.match(word)) for word in words if NEGATED_STEM.match(word) or AFFIRMED_STEM.match(word)}
    contradicts = len(stems) > 1
    if len(negated | affirmed) < len(set(words)) or not words or contradicts:
        return None
    return Status(present=not negated)


def read_codes(said: Mapping[str, str] | str) -> dict[str, str]:
    """Return what the numbers in a column of a marker mean, as its name or a sidecar's ``Levels`` say; empty where unsaid.

    A text that no cell could be read by, such as the "year" of ``MGMT 1 year``, is no meaning.
    """
    codes = dict(CODED.findall(said)) if isinstance(said, str) else dict(said)
    return codes if all(read_status(text) for text in codes.values()) else {}


def names_methylation(cell: str) -> bool:
    """Whether a cell says by itself which way it is meant, whatever its column is called."""
    return re.search(r"met[hi]|^\W*(?:u|um|m)\W*$", _plain(cell)) is not None


def is_turned(column: str, cell: str, codes: Mapping[str, str]) -> bool:
    """Whether a cell of a column may mean the opposite: ``yes`` where its name says unmethylated, 0 where 1 is unmethylated."""
    if names_methylation(cell):
        return False
    usual = [read_status(code) == read_status(text) for code, text in codes.items() if code in ("0", "1")]
    return not all(usual) if usual else bool(NEGATED_NAME.search(_plain(column)))


def _plain(text: str) -> str:
    """Return a text in lower case and Latin letters, without accents."""
    latin = "".join(LETTERS.get(letter, letter) for letter in text.lower())
    return unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()


def _split(text: str) -> list[str]:
    """Split a cell into lower-case words without accents; what stands in brackets is left out, unless all does."""
    return re.findall(r"[a-z0-9]+", _plain(BRACKETS.sub(" ", text))) or re.findall(r"[a-z0-9]+", _plain(text))
