"""What a preset is: a configuration with a name, a purpose, and the origin of each of its values.

The presets stand in ``presets.json``. One may have a base, of which it changes some values; a section of the configuration
("prep", "optimiser", ...) that it names is stated whole. What it says of its values is why they are what they are: "stated"
by the paper, or "ours".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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


def read_presets() -> dict[str, Preset]:
    """Return the presets by name, the paper's first."""
    table = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
    presets: dict[str, Preset] = {}
    for name, entry in table.items():
        presets[name] = _build_preset(name, entry, presets.get(entry.get("base", "")))
    return presets


def _build_preset(name: str, entry: Mapping[str, Any], base: Preset | None) -> Preset:
    start = (base.config if base else RunConfig()).model_dump()
    known = dict(base.provenance) if base else {}
    if "stated" not in entry:  # the paper's preset answers for each of its values
        known = {path: Provenance(source="ours", note="a default") for path in field_paths()} | known
    said = {path: Provenance(source="ours", note=note) for path, note in entry["ours"].items()}
    said |= {path: Provenance(source="paper", note=note) for path, note in entry.get("stated", {}).items()}
    return Preset(
        name=name,
        title=entry["title"],
        after=entry["after"],
        summary=entry["summary"],
        config=RunConfig.model_validate({**start, **entry["config"], "preset": name}),
        provenance=known | said,
    )
