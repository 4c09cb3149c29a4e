"""Filter runs by state, preset, tag and text, and tell which belong to a sweep."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.runs.folder import RunEntry
from core.runs.records import RunState
from core.runs.tags import read_tags, read_words
from core.settings import Settings

TRIAL = re.compile(r"(.+)-\d{3,}")
"""A trial's run has the name of its sweep and a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """What must hold of a run; an empty field does not filter."""

    states: frozenset[RunState] = frozenset()
    """One of these."""
    presets: frozenset[str] = frozenset()
    """One of these."""
    tags: frozenset[str] = frozenset()
    """All of these, whatever their case."""
    text: str = ""
    """Each of its words is somewhere in name, note, network, preset or tags, in any case."""


def filter_runs(entries: Iterable[RunEntry], wanted: RunFilter) -> list[RunEntry]:
    """Return the runs that pass the filter, in their order."""
    return [entry for entry in entries if _passes(entry, wanted)]


def group_trials(entries: Iterable[RunEntry], settings: Settings) -> dict[str, list[RunEntry]]:
    """Return the runs of each sweep that is still there, by its name, in their order; what is a run by itself is left out."""
    sweeps: dict[str, list[RunEntry]] = {}
    for entry in entries:
        match = TRIAL.fullmatch(entry.run.name)
        if match and (match[1] in sweeps or (settings.experiments / match[1] / "question.json").is_file()):
            sweeps.setdefault(match[1], []).append(entry)
    return sweeps


def _passes(entry: RunEntry, wanted: RunFilter) -> bool:
    if wanted.states and entry.status.state not in wanted.states:
        return False
    if wanted.presets and entry.preset not in wanted.presets:
        return False
    if not (wanted.tags or wanted.text):
        return True
    tags = read_tags(entry.run)
    if {tag.casefold() for tag in wanted.tags} - {tag.casefold() for tag in tags}:
        return False
    own = read_words(entry.run)
    words = " ".join([entry.run.name, own.name, own.note, entry.architecture, entry.preset, *tags]).casefold()
    return all(word in words for word in wanted.text.casefold().split())
