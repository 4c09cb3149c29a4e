"""Fit the guard's limits: references of the training patients, and limits set on patients who had no part in the training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from core.dataset.slice_table import SliceTable
from core.dataset.split import Split
from core.inference.guard import Features, GuardLimits, measure_studies

RATE = 0.05
"""Share of patients like the training's that a run's guard may refuse; of few held-out patients one in n + 1 is."""
FEWEST = 10
"""Held-out patients below which no limits are set: more than one patient in eleven would be refused."""
MOST_TRAIN = 300
"""Training studies that are measured; more would say the same."""
LEAST_SPREAD = 1e-3
"""Of a feature, and share of the spread that is added to every direction: what never varied must not refuse everything."""


def fit_run_limits(table: SliceTable, split: Split) -> dict[str, Any]:
    """Return the limits of a run for its card's ``guard``; empty where its validation patients cannot tell.

    They are too few, or (split by slice) other slices of them stood in training. Only the prepared images are looked at, so
    that it can be done before the first epoch.
    """
    if split.leaky:
        return {}
    train, held_out = (_take_one_each(table, split.indices(table, part)) for part in ("train", "val"))
    if table.rows["study_id"].iloc[held_out].nunique() < FEWEST:
        return {}
    some = table.rows["study_id"].iloc[train].unique()
    some = some[np.linspace(0, len(some) - 1, min(len(some), MOST_TRAIN)).round().astype(int)]
    train = train[np.isin(table.rows["study_id"].to_numpy()[train], some)]
    references, others = (list(measure_studies(table, rows).values()) for rows in (train, held_out))
    return fit_limits(references, others, RATE)


def fit_limits(train: Sequence[Features], held_out: Sequence[Features], rate: float) -> dict[str, Any]:
    """Return limits for a card's ``guard`` (split conformal).

    Parameters
    ----------
    train
        Each training patient's series.
    held_out
        The same of patients that are not among them, and had no part in the training.
    rate
        Share of patients like these that may be refused.

    Notes
    -----
    The limit for m series is taken from m series of each held-out patient, beginning with another one at each patient. The
    covariance is shrunk (Ledoit and Wolf, J. Multivar. Anal. 88:365, 2004), of features scaled by their spread.
    """
    references = {}
    for name in sorted({name for patient in train for name, _ in patient}):
        found = np.concatenate([features for patient in train for own, features in patient if own == name])
        mean, spread = found.mean(axis=0), np.maximum(found.std(axis=0), LEAST_SPREAD)
        scaled, _ = ledoit_wolf((found - mean) / spread, assume_centered=True)
        precision = np.linalg.inv(scaled + np.eye(len(mean)) * LEAST_SPREAD) / np.outer(spread, spread)
        references[name] = {"mean": _short(mean), "precision": [_short(row) for row in precision]}
    count = len(held_out)
    below = min(count, math.ceil((count + 1) * (1 - rate)))
    content = {"references": references, "limits": [0.0], "held_out": count, "below": below}
    measured = GuardLimits.model_validate(content)
    limits = []
    for several in range(1, max(len(patient) for patient in held_out) + 1):
        values = sorted(
            measured.measure(
                [patient[(start + step) % len(patient)] for step in range(min(several, len(patient)))]
            ).value
            for start, patient in enumerate(held_out)
        )
        limits.append(values[below - 1])
    return measured.model_copy(update={"limits": tuple(limits)}).model_dump(mode="json")


def _take_one_each(table: SliceTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of one study of each person: two of one person say the same."""
    part = table.rows.iloc[rows]
    first = part.groupby("person")["study_id"].transform("first")
    return rows[(part["study_id"] == first).to_numpy()]


def _short(values: NDArray[np.float64]) -> list[float]:
    """Six digits: a card is text."""
    return [float(f"{value:.6g}") for value in values]
