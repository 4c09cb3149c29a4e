"""Each header of a cohort beside the label, one at a time: which of them predicts it, over all of them together.

A model of many headers is nearly blind to a single one among a hundred. Here each is tested by itself: the standardised
rank sum of the patients of one class, its null by shuffling the labels, and the largest over all headers in each shuffle
(single-step maxT; P. H. Westfall, S. S. Young: "Resampling-Based Multiple Testing", 1993), so that the share of clean
cohorts in which anything is found stays at the level. Labels are shuffled within sites where these are known, and the site
itself is a column that is tested over all patients: what tells no more than the site is found once, by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.multival import MultiValue
from scipy.stats import rankdata

from core.data.formats.dicom import PARSER_ERRORS
from core.data.study import Series
from core.evaluation.metrics import Integers
from core.evaluation.permutation import Exchange
from core.files import load_table
from core.parallel import one_blas_thread

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
    except PARSER_ERRORS:
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


@one_blas_thread
def associate_headers(
    table: pd.DataFrame,
    labels: Integers,
    *,
    exchange: Exchange | None = None,
    across: Collection[str] = (),
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> list[HeaderAssociation]:
    """Return how each header goes with the label, the strongest first.

    Parameters
    ----------
    table
        (patients, columns) of numbers; columns of one header share the words before ": ", and its strongest stands for it.
    labels
        (patients,), 1 for the positive class.
    exchange
        Among whom labels are shuffled; ranks are then within its strata, so that what shows only the site is not found.
    across
        Headers that are looked at over all patients all the same: the site itself, and what it is ordered by.
    shuffles
        Of the labels; p is (1 + b) / (1 + shuffles).
    seed
        Of the shuffles.
    """
    if not table.shape[1]:
        return []
    positive = (np.asarray(labels) == 1).astype(np.int64)
    everybody = Exchange(strata=np.zeros(len(positive), np.intp), sentence="")
    ways = (everybody if exchange is None else exchange, everybody)
    names = [str(column).split(": ")[0] for column in table.columns]
    outside = np.array([name in across for name in names])
    strength, areas = np.zeros(len(names)), np.full(len(names), 0.5)
    rng = np.random.default_rng(seed)
    largest = np.zeros(shuffles)
    for way, inside in zip(ways, (~outside, outside), strict=True):
        if not inside.any():
            continue
        ranks, area = _rank(table.to_numpy(np.float64)[:, inside], positive, way.strata)
        strength[inside], areas[inside] = np.abs(positive @ ranks), area
        for start in range(0, shuffles, BLOCK):
            block = way.shuffle_many(positive, min(BLOCK, shuffles - start), rng).astype(np.float64)
            largest[start : start + BLOCK] = np.maximum(
                largest[start : start + BLOCK], np.abs(block @ ranks).max(axis=1)
            )
    beaten = shuffles - np.searchsorted(np.sort(largest), strength - 1e-9)
    strongest: dict[str, HeaderAssociation] = {}
    for column in np.argsort(-strength, kind="stable"):
        association = HeaderAssociation(
            name=names[column],
            auroc=float(areas[column]),
            p_value=float((1 + beaten[column]) / (1 + shuffles)),
            patients=len(positive),
        )
        strongest.setdefault(names[column], association)
    return list(strongest.values())


def _rank(
    values: NDArray[np.float64], positive: Integers, strata: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standardised ranks within strata, and each column's AUROC within them in the direction that predicts.

    Ranks of a stratum of n are divided by n + 1 (van Elteren 1960). The product of the ranks with the labels is the
    statistic: mean 0 and variance 1 over shuffles.
    """
    ranks, variance = np.zeros(values.shape), np.zeros(values.shape[1])
    beaten, pairs = np.zeros(values.shape[1]), 0
    for stratum in np.unique(strata):
        inside = strata == stratum
        count, yes = int(inside.sum()), int(positive[inside].sum())
        if yes in (0, count):
            continue
        centred = rankdata(values[inside], axis=0) - (count + 1) / 2
        beaten += positive[inside] @ centred
        pairs += yes * (count - yes)
        ranks[inside] = centred / (count + 1)
        variance += yes * (count - yes) / (count * (count - 1)) * (ranks[inside] ** 2).sum(axis=0)
    return ranks / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.5 + np.abs(beaten) / max(pairs, 1)


def _first_number(value: object) -> float | None:
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
