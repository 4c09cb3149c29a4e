"""What a preset is: a configuration with a name, a purpose, and the origin of each of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.config import RunConfig, field_paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a preset's value comes from, and why it is what it is."""

    source: Literal["paper", "ours"]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A configuration with a name, a purpose and the origin of each of its values."""

    name: str
    title: str
    after: str
    """The published system that it follows, never the same thing; the summary says how it differs."""
    summary: str
    config: RunConfig
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    """By plain field name; every field of the configuration has an entry."""


def stated(note: str) -> Provenance:
    """A value that the paper states, and where."""
    return Provenance(source="paper", note=note)


def ours(note: str) -> Provenance:
    """A value of our own choice, and why."""
    return Provenance(source="ours", note=note)


def ours_for_all(reasons: Mapping[str, str]) -> dict[str, Provenance]:
    """An entry for every field of the configuration; a field without a reason has its default."""
    return {name: ours(reasons.get(name, "a default")) for name in field_paths()}
