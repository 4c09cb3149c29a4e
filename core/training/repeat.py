"""What it takes to train a run again: its configuration, its data, its split, its threads; and what has changed since."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.config import RunConfig, apply_settings
from core.errors import RunError
from core.runs.environment import find_commit, list_versions, name_processor
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.training.torchrun import asked_size

if TYPE_CHECKING:
    from core.dataset.split import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run to be made."""

    config: RunConfig
    source: DataSource
    split: Split | None
    """The old run's, where its settings are the same; else the trainer draws a new one."""
    threads: int | None
    """As many as the old run had: another number changes the last digits of a result."""
    differences: tuple[str, ...]
    """What has changed since, versions and the number of processes, one sentence each: a repetition need not be identical."""


def plan_from(run: RunFolder, settings: Iterable[str] | Mapping[str, Any] = ()) -> Plan:
    """Plan a run like another one, with some settings changed.

    Raises
    ------
    RunError
        Its configuration or its data source cannot be read.
    ConfigError
        A setting does not exist, or its value does not fit.
    """
    old = run.config
    config = apply_settings(old, settings)
    environment = run.environment()
    split = _same_split(run, old, config)
    differences = _find_differences(environment)
    size = environment.get("world_size", 1)
    if size != asked_size():
        parts = size * old.micro_batches
        differences += (
            f"{size} processes shared its batches then, {asked_size()} now (one computes the same with micro_batches={parts})",
        )
    return Plan(
        config=config,
        source=run.source,
        split=split,
        threads=environment.get("threads"),
        differences=differences,
    )


def _find_differences(environment: Mapping[str, Any]) -> tuple[str, ...]:
    """What has changed since of all that decides the last digits: versions, the project's commit, the processor."""
    before, today = dict(environment.get("versions", {})), list_versions()
    before["the project's commit"], today["the project's commit"] = environment.get("commit"), find_commit()
    if environment.get("compute", {}).get("device") == "cpu" and environment.get("processor") != platform.machine():
        before["the processor"], today["the processor"] = environment.get("processor"), name_processor()
    return tuple(
        f"{name} was {version} then and is {today.get(name) or 'not known'} now"
        for name, version in before.items()
        if version and today.get(name) != version
    )


def _same_split(run: RunFolder, old: RunConfig, config: RunConfig) -> Split | None:
    """The old run's split where it still fits: a split by slice names slices, and these depend on the preparation."""
    if config.split != old.split:
        return None
    try:
        split = run.split()
    except RunError:  # it never came to split
        return None
    by_slice = split.leaky or bool(split.kept)
    return None if by_slice and config.prep != old.prep else split
