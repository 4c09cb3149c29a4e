"""The command line's words for what a page asks of data and a configuration."""

from __future__ import annotations

from core.config import RunConfig
from core.runs.records import DataSource
from ui.runs.runs import changed_values


def command_words(command: str, config: RunConfig, source: DataSource) -> list[str]:
    """What stands after ``python -m core``: the command, the data and how to read them, the preset and what differs."""
    words = [command, source.root]
    options: tuple[tuple[str, str | None], ...] = (
        ("--labels", source.labels),
        ("--patient-pattern", source.patient_pattern),
        ("--layout", source.layout),
        ("--sequence", source.sequence),
        ("--identity", source.identity),
        *(("--assign", f"{series_uid}={sequence}") for series_uid, sequence in source.assign),
    )
    for option, given in options:
        words += [option, given] if given else []
    words += ["--preset", config.preset]
    for name, (_, value) in changed_values(config).items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += ["--set", f"{name}={text}"]
    return words
