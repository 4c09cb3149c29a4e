"""Write an ensemble: a small JSON file that names several checkpoints and has a card of its own.

Its members are the networks of a cross-validation, one for each fold, whose outputs are averaged. Each member divides its
logits by its own temperature first, because networks trained apart differ in scale. The threshold is the mean of the
members' thresholds on the scale of log odds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from core.errors import CheckpointError
from core.files import write_atomic
from core.models.card import ENSEMBLE_SCHEMA_VERSION, CheckpointCard, read_card

CERTAIN = 1e-6
"""Thresholds are clipped this far from 0 and 1, so that their log odds are finite."""


def write_ensemble(path: Path, members: Sequence[Path], *, name: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Write an ensemble of checkpoints, as paths relative to it.

    Parameters
    ----------
    path
        The JSON file to write or replace.
    members
        Two checkpoints or more.
    name
        What it is called.
    figures
        By patient, within folds: each patient evaluated by a member that never saw it.

    Raises
    ------
    CheckpointError
        There are fewer than two, or they cannot be averaged: they differ in preparation, classes or architecture.
    """
    cards = [read_card(member) for member in members]
    _require_compatible(cards)
    content = {
        "schema_version": ENSEMBLE_SCHEMA_VERSION,
        "members": [str(member.resolve().relative_to(path.parent.resolve())) for member in members],
        "card": _describe(cards, name, figures).model_dump(mode="json"),
    }
    write_atomic(path, json.dumps(content, indent=1))


def _require_compatible(cards: Sequence[CheckpointCard]) -> None:
    if len(cards) < 2:
        raise CheckpointError("An ensemble needs two members or more.")
    properties: dict[str, list[object]] = {
        "see differently prepared images": [card.config.prep for card in cards],
        "are different networks": [card.config.architecture for card in cards],
        "know different classes": [(card.class_names, card.positive_class) for card in cards],
    }
    for what, values in properties.items():
        if any(value != values[0] for value in values):
            raise CheckpointError(
                f"There is no ensemble: the chosen networks {what}. Each of them can be used by itself, from its run's folder."
            )


def _describe(cards: Sequence[CheckpointCard], name: str, figures: Mapping[str, Mapping[str, Any]]) -> CheckpointCard:
    first = cards[0]
    thresholds = np.clip([card.threshold for card in cards], CERTAIN, 1 - CERTAIN)
    digests = "\n".join(card.split_digest for card in cards)
    known = [sequence for sequence in first.sequences if all(sequence in card.sequences for card in cards)]
    histograms = {
        sequence: np.mean([card.intensity[sequence] for card in cards], axis=0).tolist()
        for sequence in first.intensity
        if all(sequence in card.intensity for card in cards)
    }
    figure = figures.get("auroc", {})
    return first.model_copy(
        update={
            "name": name,
            "members": tuple(card.name for card in cards),
            "sequences": tuple(known),
            "planes": tuple(sorted({plane for card in cards for plane in card.planes})),
            "split_digest": hashlib.sha256(digests.encode()).hexdigest()[:12],
            "patients": {"folds": int(figure.get("n", 0))},
            "weights_origin": "; ".join(dict.fromkeys(card.weights_origin for card in cards)),
            "reproduction": False,
            "epoch": 0,
            "threshold": float(expit(logit(thresholds).mean())) if len(first.class_names) == 2 else 0.5,
            "temperature": 1.0,
            "conformal": {},
            "guard": {},
            "metrics": {"folds": {"patient": {key: dict(value) for key, value in figures.items()}}},
            "intensity": histograms,
        }
    )
