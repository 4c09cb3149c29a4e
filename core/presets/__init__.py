"""The named configurations, and for each of their values whether it is the paper's or ours."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import ConfigError
from core.presets.honest import HONEST
from core.presets.paper import PAPER
from core.presets.pooled import ATTENTION, MULTISTREAM
from core.presets.preset import Preset
from core.presets.resnets import RESNETS
from core.presets.video import VIDEO_NETWORKS
from core.presets.volumes import TWO_STAGE, VOLUMETRIC, WINNER

ALL = (PAPER, HONEST, *RESNETS, *VIDEO_NETWORKS, VOLUMETRIC, TWO_STAGE, MULTISTREAM, WINNER, ATTENTION)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in ALL}


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
