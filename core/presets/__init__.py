"""The named configurations, and for each of their values whether it is the paper's or ours."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import ConfigError
from core.presets.preset import Preset, read_presets

PRESETS: Mapping[str, Preset] = read_presets()


def find_preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises
    ------
    ConfigError
        There is none; the message lists those that exist.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"There is no preset {name!r}; choose one of: {', '.join(PRESETS)}.") from None
