"""How --from raw and --steps are read."""

from __future__ import annotations

import argparse

from core.cli.parser import UsageError
from core.data.raw.config import RawConfig, require_raw


def read_raw(arguments: argparse.Namespace) -> RawConfig | None:
    """Return how scans are processed from raw, or None where they are not."""
    if arguments.origin is None:
        if arguments.steps:
            raise UsageError("--steps are those of --from raw; add it, or leave them out.")
        return None
    require_raw()
    return RawConfig(steps=tuple(arguments.steps)) if arguments.steps else RawConfig()
