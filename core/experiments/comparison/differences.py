"""In what runs differ, and only that: configuration, data, split, machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.config import leaf_values
from core.home_folder import hide_home
from core.runs.folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDifference:
    """One thing that is not the same in all runs."""

    group: str
    """"configuration", "data" or "machine"."""
    name: str
    values: tuple[object, ...]
    """One for each run, in their order; as JSON has them, None where a run does not say."""

    def to_dict(self) -> dict[str, Any]:
        """As in ``runs compare --json``."""
        return {"group": self.group, "name": self.name, "values": list(self.values)}


def differing_settings(runs: Sequence[RunFolder]) -> tuple[SettingDifference, ...]:
    """Return what differs between runs; paths without the folder that names a person.

    Raises
    ------
    RunError
        A run's configuration or its data source cannot be read.
    """
    found = []
    groups: tuple[tuple[str, Callable[[RunFolder], Mapping[str, object]]], ...] = (
        ("configuration", lambda run: leaf_values(run.config)),
        ("data", _data_of),
        ("machine", _machine_of),
    )
    for group, read in groups:
        contents = [read(run) for run in runs]
        names = dict.fromkeys(name for content in contents for name in content)
        for name in names:
            values = tuple(_shown(content.get(name)) for content in contents)
            if any(value != values[0] for value in values):
                found.append(SettingDifference(group=group, name=name, values=values))
    return tuple(found)


def value_words(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(value_words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _data_of(run: RunFolder) -> Mapping[str, object]:
    source = run.source.model_dump(mode="json")
    environment = run.environment()
    sizes = environment.get("sizes", {})
    patients = {f"{part}_patients": content.get("patients") for part, content in sizes.items()}
    digests = {name: environment.get(name) for name in ("cohort_digest", "split_digest")}
    return {"folder" if name == "root" else name: value for name, value in source.items()} | digests | patients


def _machine_of(run: RunFolder) -> Mapping[str, object]:
    environment = run.environment()
    plain = {name: environment.get(name) for name in ("threads", "processor", "commit")}
    weights = environment.get("weights", {}).get("origin")
    return {**environment.get("compute", {}), **plain, "weights_from": weights, **environment.get("versions", {})}


def _shown(value: object) -> object:
    return hide_home(value) if isinstance(value, str) else value
