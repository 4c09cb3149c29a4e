"""Each header of a cohort beside the label, one at a time: which of them predicts it, over all of them together.

A model of many headers is nearly blind to a single one among a hundred. Here each is tested by itself: the standardised
rank sum of the patients of one class, its null by shuffling the labels, and the largest over all headers in each shuffle
(single-step maxT; P. H. Westfall, S. S. Young: "Resampling-Based Multiple Testing", 1993), so that the share of clean
cohorts in which anything is found stays at the level. Labels are shuffled over all patients, not within sites: a site that
tells the label is what is looked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from scipy.stats import rankdata

from core.data.study import Series
from core.evaluation.metrics import Integers
from core.files import load_table

_WORDS = load_table(__file__)
NUMBERS = tuple(_WORDS["numbers"])
WORDS = tuple(_WORDS["words"])
"""Read as digests: whether two are equal, never what they say."""
SHUFFLES = 9999
BLOCK = 1000
"""Shuffles at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderAssociation:
    """How one header goes with the label."""

    name: str
    auroc: float
    """Of the header alone, in the direction that predicts: 0.5 to 1, on the patients themselves."""
    p_value: float
    """Family-wise over all headers of the cohort."""
    patients: int

    def to_dict(self) -> dict[str, Any]:
        """As ``shortcuts --json`` prints it."""
        return {"header": self.name, "auroc": self.auroc, "p": self.p_value, "n": self.patients}


def read_acquisition(series: Series) -> dict[str, float | str]:
    """Return what the first DICOM file of a series says of the acquisition: numbers, and digests of words.

    Empty for other files, and for one that cannot be read: the audit names it.
    """
    if series.kind != "dicom":
        return {}
    try:
        header = dcmread(series.files[0], stop_before_pixels=True, specific_tags=[*NUMBERS, *WORDS])
    except (OSError, InvalidDicomError, EOFError, ValueError):
        return {}
    found: dict[str, float | str] = {}
    for name in NUMBERS:
        number = _first_number(header.get(name))
        if number is not None:
            found[name] = number
    for name in WORDS:
        value = header.get(name)
        if value not in (None, ""):
            found[name] = hashlib.blake2b(str(value).encode(), digest_size=6).hexdigest()
    return found


def associate_headers(
    table: pd.DataFrame, labels: Integers, *, shuffles: int = SHUFFLES, seed: int = 0
) -> list[HeaderAssociation]:
    """Return how each header goes with the label, the strongest first.

    Parameters
    ----------
    table
        (patients, columns) of numbers; columns of one header share the words before ": ", and its strongest stands for it.
    labels
        (patients,), 1 for the positive class.
    shuffles
        Of the labels; p is (1 + b) / (1 + shuffles).
    seed
        Of the shuffles.
    """
    if not table.shape[1]:
        return []
    positive = np.asarray(labels) == 1
    ranks = rankdata(table.to_numpy(np.float64), axis=0)
    ranks -= ranks.mean(axis=0)
    count, yes = len(positive), int(positive.sum())
    spread = np.sqrt(yes * (count - yes) / (count * (count - 1)) * (ranks**2).sum(axis=0))
    observed = positive @ ranks
    strength = np.abs(observed) / spread
    largest = np.concatenate(list(_largest_by_chance(ranks / spread, positive, shuffles, seed)))
    beaten = len(largest) - np.searchsorted(np.sort(largest), strength - 1e-9)
    areas = 0.5 + np.abs(observed) / (yes * (count - yes))
    strongest: dict[str, HeaderAssociation] = {}
    for column in np.argsort(-strength, kind="stable"):
        name = str(table.columns[column]).split(": ")[0]
        association = HeaderAssociation(
            name=name,
            auroc=float(areas[column]),
            p_value=float((1 + beaten[column]) / (1 + shuffles)),
            patients=count,
        )
        strongest.setdefault(name, association)
    return list(strongest.values())


def _largest_by_chance(
    ranks: NDArray[np.float64], positive: NDArray[np.bool_], shuffles: int, seed: int
) -> Iterable[NDArray[np.float64]]:
    """Yield the largest standardised rank sum over all columns for each shuffle, a block at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, shuffles, BLOCK):
        block = rng.permuted(np.tile(positive, (min(BLOCK, shuffles - start), 1)), axis=1)
        yield np.abs(block.astype(np.float64) @ ranks).max(axis=1)


def _first_number(value: object) -> float | None:
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
