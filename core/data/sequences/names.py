"""What the name of an MR series says: its weighting, or what it is instead, and whether contrast was given."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from core.data.sequences.tables import TABLES

Weighting = Literal["T1", "T2", "FLAIR"]
Mark = Literal["post", "post?", "pre", ""]
"""What a name says of the contrast agent: given, probably given, not given, nothing."""

WEIGHTINGS: dict[Weighting, list[str]] = TABLES["weightings"]
"""Words of the three weightings; T1 with FLAIR is an inversion recovery of T1 weighting."""
OTHER_KINDS: dict[str, list[str]] = TABLES["other_kinds"]
"""Words of series of a brain examination that are none of the four, by what they are."""
LOCALISERS = frozenset(OTHER_KINDS["a localiser"])
LABEL_FILES: list[str] = TABLES["label_files"]
"""Words that name a label map in a file's name, but an indication or a protocol in a header."""
GRADIENT_ECHOES: list[str] = TABLES["gradient_echoes"]
"""With T2, they name a T2* image."""
REFORMATS: list[str] = TABLES["reformats"]
"""Words of images that were computed from a series, in another plane."""
AGENTS = frozenset(TABLES["agents"])
"""A contrast agent by name; with a negation before it, its absence."""
AFTER = frozenset(TABLES["after"])
"""After contrast, where no phrase of :data:`NOT_OF_CONTRAST` holds it."""
PERHAPS_AFTER = frozenset(TABLES["perhaps_after"])
"""Words that mean "after" or "injected" and something else besides, and a letter that often means contrast."""
BEFORE = frozenset(TABLES["before"])
"""Before or without contrast."""
NEGATIONS = frozenset(TABLES["negations"])
"""Words that turn the agent that follows them, within two words, into none."""
WITH = frozenset(TABLES["with"])
"""Words that make sure of an agent, or of a word that perhaps means one, within two words behind them."""
NOT_OF_CONTRAST: list[str] = TABLES["not_of_contrast"]
"""Phrases in which "pre" and "post" speak of something else."""
BOTH: list[str] = TABLES["both"]
"""Both before and after: what an examination is called, which tells nothing of one series."""
LEADING = frozenset(TABLES["leading"])
"""Words that may be written before T1 and T2 as one with them; "set1", "ct2" and "post1" are no sequences."""
SYNONYMS: dict[str, str] = TABLES["synonyms"]
ABOUT_CONTRAST = AGENTS | AFTER | PERHAPS_AFTER | BEFORE | NEGATIONS | WITH | {"+"}
VOCABULARY = frozenset(SYNONYMS).union(
    *WEIGHTINGS.values(), *OTHER_KINDS.values(), REFORMATS, ABOUT_CONTRAST, TABLES["modifiers"]
)
"""Every word that may be written behind T1 and T2 as one with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """What the name of a series says."""

    weighting: Weighting | None = None
    other: str = ""
    """What it is instead of one of the four; a key of :data:`OTHER_KINDS`."""
    mark: Mark = ""
    reformat: bool = False
    """A reformat of another series."""
    dual: bool = False
    """Named for proton density and T2: the echo tells which."""
    base: tuple[str, ...] = ()
    """Its words without those about contrast: series before and after contrast share it."""

    @property
    def says_nothing(self) -> bool:
        """Whether neither a weighting nor another kind is named."""
        return self.weighting is None and not self.other


@lru_cache(maxsize=4096)
def read_name(text: str, *, file: bool = False) -> SeriesName:
    """Return what a folder's, a file's or a series' name says.

    Parameters
    ----------
    text
        The name, not a path.
    file
        Whether it is a file's: words such as "lesion" and "roi" then name a label map.
    """
    words = split_words(text)
    line = f" {' '.join(words)} "

    def has(table: Collection[str]) -> bool:
        return any(f" {word} " in line for word in table)

    t1, t2, flair = (has(WEIGHTINGS[kind]) for kind in ("T1", "T2", "FLAIR"))
    others = [kind for kind, table in OTHER_KINDS.items() if has(table)]
    dual = t2 and not t1 and others == ["a proton-density image"]
    if dual:
        others = []
    elif t1 and t2:
        others.append("several weightings")
    elif t2 and not flair and has(GRADIENT_ECHOES):
        others.append("a susceptibility or T2* image")
    elif file and has(LABEL_FILES):
        others.append("a label map")
    return SeriesName(
        weighting="T1" if t1 else "FLAIR" if flair else "T2" if t2 else None,
        other=others[0] if others else "",
        mark=_read_mark(line),
        reformat=has(REFORMATS),
        dual=dual,
        base=tuple(word for word in words if word not in ABOUT_CONTRAST),
    )


def split_words(text: str) -> list[str]:
    """Return the words of a name: "AXT1POST" and "Ax T1 post" give the same; a star and a plus are words."""
    plain = "".join(TABLES["letters"].get(letter, letter) for letter in text.lower())
    plain = "".join(part for part in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(part))
    for pattern, replacement in TABLES["rewrites"]:
        plain = re.sub(pattern, replacement, plain)
    return [SYNONYMS.get(word, word) for token in plain.split() for word in _take_apart(token)]


def _read_mark(line: str) -> Mark:
    """Return what the words of a name, with a space around each, say about contrast."""
    if any(f" {phrase} " in line for phrase in BOTH):
        return ""
    for phrase in NOT_OF_CONTRAST:
        line = line.replace(f" {phrase} ", " ")
    words = line.split()
    given, absent, perhaps = False, False, False
    for place, word in enumerate(words):
        beside = [*words[max(0, place - 1) : place], *words[place + 1 : place + 2]]
        ahead = words[max(0, place - 2) : place]
        negated = not NEGATIONS.isdisjoint(ahead)
        sure = word in PERHAPS_AFTER and not WITH.isdisjoint(ahead)
        agent = word in AGENTS or sure or (word == "c" and "+" in beside)
        absent = absent or word in BEFORE or (negated and (agent or word in PERHAPS_AFTER))
        given = given or word in AFTER or (agent and not negated)
        perhaps = perhaps or word in PERHAPS_AFTER or (word == "+" and place == len(words) - 1)
    if given and absent:
        return ""
    return "pre" if absent else "post" if given else "post?" if perhaps else ""


@lru_cache(maxsize=4096)
def _take_apart(token: str) -> tuple[str, ...]:
    """Split a word that is T1 or T2 written into one with other known words; any other stays whole."""
    place = max(token.find("t1"), token.find("t2"))
    if place < 0 or token in VOCABULARY:
        return (token,)
    before, rest = _known_parts(token[:place], LEADING), _known_parts(token[place:], VOCABULARY)
    return (*before, *rest) if rest and (before or not place) else (token,)


def _known_parts(text: str, known: frozenset[str]) -> tuple[str, ...]:
    """Return the longest known words that make up a text; empty where none do."""
    if text in known:
        return (text,)
    for end in range(len(text) - 1, 0, -1):
        rest = _known_parts(text[end:], known) if text[:end] in known else ()
        if rest:
            return (text[:end], *rest)
    return ()
