"""The command line's words for what a page asks of data and a configuration."""

from __future__ import annotations

from core.config import RunConfig
from core.runs.records import DataSource
from ui.runs.runs import changed_values


def command_words(command: str, config: RunConfig, source: DataSource) -> list[str]:
    """What stands after ``python -m core``: the command, the data and how to read them, the preset and what differs."""
    words = [command, source.root, *source.options]
    words += ["--preset", config.preset]
    for name, (_, value) in changed_values(config).items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += ["--set", f"{name}={text}"]
    return words
