"""What of the paper's own protocol a run has."""

from __future__ import annotations

from core.config import RunConfig, leaf_values
from core.presets import PRESETS

PAPER = PRESETS["paper"]


def is_reproduction(config: RunConfig) -> bool:
    """Whether a run may be called a reproduction of the paper: each value that the paper states is the paper's.

    A run without ImageNet weights is not one, and a local weights file cannot be known to be them.
    """
    stated = [name for name, provenance in PAPER.provenance.items() if provenance.source == "paper"]
    ours, theirs = leaf_values(config), leaf_values(PAPER.config)
    return all(ours[name] == theirs[name] for name in stated)
