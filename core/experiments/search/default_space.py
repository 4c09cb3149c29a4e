"""What a search varies of a preset when nobody says otherwise, and why."""

from __future__ import annotations

from dataclasses import dataclass

from core.presets import find_preset


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceEntry:
    """One setting of a default space."""

    text: str
    """As :func:`core.experiments.search.space.parse_space` takes it."""
    reason: str


def default_space(preset: str) -> tuple[SpaceEntry, ...]:
    """Return three or four settings worth searching: more cannot be told apart in a few dozen trials.

    What the paper states stays as it is in its own preset: only what it leaves open is searched.

    Raises
    ------
    ConfigError
        There is no such preset.
    """
    found = find_preset(preset)
    config = found.config
    stated = {name for name, provenance in found.provenance.items() if provenance.source == "paper"}
    rate, size, volumes = config.optimiser.learning_rate, config.batch_size, config.prep.form != "slice"
    sizes = (size // 2, size) if volumes else (size // 2, size, size * 2)
    entries = {
        "learning_rate": SpaceEntry(
            text=f"learning_rate={rate / 100:g}..{min(rate * 10, 10):g}:log",
            reason="what matters most; a hundredth to ten times the preset's own, each decade alike",
        ),
        "weight_decay": _weight_decay(config.optimiser.optimiser),
        "batch_size": SpaceEntry(
            text=f"batch_size={','.join(str(number) for number in sizes if number >= 1)}",
            reason="the noise of a step; "
            + ("not above the preset's, for volumes fill the memory" if volumes else "half and double the preset's"),
        ),
    }
    if config.optimiser.optimiser == "sgd":
        entries["momentum"] = SpaceEntry(text="momentum=0.8..0.99", reason="trades against the learning rate of SGD")
    else:
        entries["rotation_degrees"] = SpaceEntry(
            text="rotation_degrees=0..25", reason="how much the images vary: the guard against having few patients"
        )
    return tuple(entry for name, entry in entries.items() if name not in stated)


def _weight_decay(optimiser: str) -> SpaceEntry:
    if optimiser == "adamw":
        return SpaceEntry(
            text="weight_decay=0.0001..0.3:log", reason="decoupled from the learning rate in AdamW: weak to strong"
        )
    return SpaceEntry(text="weight_decay=1e-06..0.01:log", reason="an L2 penalty here: weak to strong")
