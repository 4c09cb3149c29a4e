"""Filter runs by state, preset, tag and text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.runs.folder import RunEntry
from core.runs.records import RunState
from core.runs.tags import read_tags


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
    words = " ".join([entry.run.name, entry.status.note, entry.architecture, entry.preset, *tags]).casefold()
    return all(word in words for word in wanted.text.casefold().split())
