"""The named configurations, and for each of their values whether it is the paper's or ours."""

from __future__ import annotations

from collections.abc import Mapping

from core.config import RunConfig, field_paths
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


def is_reproduction(config: RunConfig) -> bool:
    """Whether a run may be called a reproduction of the paper: each value that the paper states is the paper's.

    A run without ImageNet weights is not one, and a local weights file cannot be known to be them.
    """
    stated = [name for name, provenance in PAPER.provenance.items() if provenance.source == "paper"]
    paths = field_paths()
    ours, theirs = config.model_dump(), PAPER.config.model_dump()
    return all(_leaf(ours, paths[name]) == _leaf(theirs, paths[name]) for name in stated)


def _leaf(content: Mapping[str, object], path: tuple[str, ...]) -> object:
    value: object = content
    for step in path:
        assert isinstance(value, Mapping)
        value = value[step]
    return value
