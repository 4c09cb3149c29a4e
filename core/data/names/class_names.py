"""What the names of class folders say: which are one class, which is the positive one, which is no class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from core.data.clinical.label_words import NEGATIONS, Status, read_status
from core.errors import ConfigError

SIGN = re.compile(r"[\s_(\[]*([+\-\u2212])[)\]\s]*$")
"""The sign at the end of a name: ``MGMT+`` and ``MGMT-``."""
BETWEEN = re.compile(r"[\s_.\-]+")


def read_classes(names: Iterable[str]) -> dict[str, Status | None]:
    """Return what each name of a class says of a marker, in the words of a label table; None where it says nothing."""
    bodies = {name: SIGN.sub("", name).strip().casefold() for name in set(names)}
    signs = {name: found[1] for name in bodies if (found := SIGN.search(name))}
    pairs = Counter(body for body, _ in {(bodies[name], sign) for name, sign in signs.items()})
    said: dict[str, Status | None] = {}
    for name, body in bodies.items():
        status = read_status(re.sub(r"[()\[\]]", " ", body if name in signs else name))
        if name in signs and (pairs[body] > 1 or status is None or not body):
            status = Status(present=signs[name] == "+")
        said[name] = status
    return said


def merge_classes(names: Sequence[str]) -> dict[str, str]:
    """Return the class of each name, spelt as the first of those that mean the same.

    One class are ``methylated`` and ``METH``, ``non_methylated`` and ``non-methylated``, ``type 1`` and ``Type-1``.
    """
    said = read_classes(names)
    first: dict[object, str] = {}
    merged = {}
    for name in names:
        status = said[name]
        known = status is not None and status.present is not None
        key = status.present if status and known else BETWEEN.sub("_", name.strip().casefold())
        merged[name] = first.setdefault(key, name)
    return merged


def find_unknown(names: Iterable[str]) -> set[str]:
    """Return the names beside a positive and a negative class that say that the status is not known."""
    said = {name: status.present for name, status in read_classes(names).items() if status}
    both = {True, False} <= set(said.values())
    return {name for name, present in said.items() if present is None} if both else set()


def choose_positive(names: Sequence[str], stated: str | None = None) -> tuple[int, str]:
    """Return the index of the positive class and how it was found, as a sentence.

    It is the stated one; else the one whose name says so, or of two that whose other one is negative; else the last one.

    Raises
    ------
    ConfigError
        No class has the stated name.
    """
    order = f"Classes in the order of their names: {', '.join(names)}"
    if stated is not None:
        same = [at for at, name in enumerate(names) if name.casefold() == stated.strip().casefold()]
        if not same:
            raise ConfigError(f"There is no class {stated!r} (--positive); there are: {', '.join(names)}.")
        return same[0], f"{order}; {names[same[0]]!r} counts as positive, as stated."
    said = read_classes(names)
    present = [at for at, name in enumerate(names) if (status := said[name]) and status.present]
    if not present and len(names) == 2:
        present = [at for at, name in enumerate(names) if _negates(names[1 - at], name, said)]
    if len(present) == 1:
        return present[0], f"{order}; {names[present[0]]!r} counts as positive."
    guess = f"no name says so: {names[-1]!r}, the last one, counts as positive; choose with --positive"
    return len(names) - 1, f"{order}; {guess}."


def _negates(name: str, other: str, said: Mapping[str, Status | None]) -> bool:
    """Whether a name says that something is absent, or is the other one with a negation: ``no_glioma``."""
    status = said[name]
    words, rest = BETWEEN.split(name.casefold()), BETWEEN.split(other.casefold())
    return (status is not None and status.present is False) or (words[1:] == rest and words[0] in NEGATIONS)
