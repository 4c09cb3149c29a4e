"""The guard: whether a checkpoint may answer for a scan at all. Where it abstains, no number is shown.

Two things speak against a scan: a check with a remedy (:mod:`core.inference.ood`), and its distance from the training images,
measured on the prepared images by :func:`core.dataset.picture_features.measure_pictures`. All of it is arithmetic on the card's
``guard`` and the prepared images, so that any program can repeat it:

- of each example x (features) of a sequence: d = (x - mean)' precision (x - mean), both the sequence's; where the card has
  none of that sequence, the one whose mean d over the series' examples is least;
- the study's distance is the mean of d over all examples; it is refused above ``limits[m - 1]``, m being the number of series
  (the last limit where there are more).

The logits were tried as further features: on real scans against synthetic they changed no answer. The 512 features before the last
layer, in place of the picture's, refuse of 24 synthetic studies 10 that are turned by 90 degrees (the picture's 3), 2 upside down (0)
and 5 under a strong bias field (6), each by limits set on half of the studies and judged on the other: no reason to need the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from core.data.prepare.cache import load_prepared
from core.data.study import Cohort, Study
from core.dataset.picture_features import FEATURES, measure_pictures, measure_source
from core.dataset.slice_table import SliceTable
from core.errors import CheckpointError, DataError, SequenceError
from core.inference.ood import OodCheck, check_sources
from core.inference.prediction import GuardState
from core.inference.sources import choose_sources
from core.models.card import RESTORE, CheckpointCard
from core.settings import Settings

SAID_AT_ONCE = 2
"""Reasons, and features, that are named; all reasons stand among the warnings."""

Features = Sequence[tuple[str, NDArray[np.float64]]]
"""Of each series of a study, its sequence and the features of its examples (n, features)."""


class Reference(BaseModel):
    """The training images of one sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    """Inverse of the features' covariance between images, row by row."""


class GuardLimits(BaseModel):
    """What a checkpoint's card keeps for the guard (``CheckpointCard.guard``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    features: tuple[str, ...] = FEATURES
    references: dict[str, Reference]
    """By sequence."""
    limits: tuple[float, ...]
    """Largest distance that is answered, for studies of 1, 2, ... series."""
    held_out: int
    """Patients on whom the limits were set; none of them is behind the references."""
    below: int
    """Which of their distances, in rising order, is the limit (the first is 1)."""

    @model_validator(mode="after")
    def _fit_together(self) -> GuardLimits:
        size = len(FEATURES)
        if self.features != FEATURES:
            raise ValueError("its features are not those of this version")
        if not self.references or not self.limits or not 1 <= self.below <= self.held_out:
            raise ValueError("it has no references or no limits")
        for one in self.references.values():
            if len(one.mean) != size or {len(row) for row in one.precision} != {size} or len(one.precision) != size:
                raise ValueError("a reference is not of its features")
        return self

    def measure(self, series: Features) -> Distance:
        """Return how far a study lies from the training images."""
        parts = [_measure_series(self.references, name, features) for name, features in series]
        every = np.concatenate([part.sum(axis=1) for part in parts])
        worst = parts[int(np.argmax([part.sum(axis=1).mean() for part in parts]))].mean(axis=0)
        return Distance(
            value=float(every.mean()),
            limit=self.limits[min(len(parts), len(self.limits)) - 1],
            unlike=tuple(FEATURES[index] for index in np.argsort(-worst)[:SAID_AT_ONCE]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far a study lies from the training images."""

    value: float
    limit: float
    unlike: tuple[str, ...]
    """The features that add most to it."""

    @property
    def refused(self) -> bool:
        """Whether it lies beyond the limit; what cannot be measured does."""
        return not self.value <= self.limit


def read_limits(card: CheckpointCard) -> GuardLimits | None:
    """Return a card's limits, None where it has none; raises CheckpointError where they are damaged."""
    if not card.guard:
        return None
    try:
        return GuardLimits.model_validate(card.guard)
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
        raise CheckpointError(f"The guard on the card of {card.name!r} is damaged: {fault}. {RESTORE}") from error


def measure_studies(table: SliceTable, rows: NDArray[np.int64]) -> dict[str, Features]:
    """Return the features of some rows of a table, by study and in it by series, as a prediction measures them."""
    found: dict[str, list[tuple[str, NDArray[np.float64]]]] = {}
    for (study, _, name), part in table.rows.iloc[rows].groupby(["study_id", "array", "sequence"], sort=True):
        images = table.images(part.index.to_numpy(dtype=np.int64))
        found.setdefault(str(study), []).append((str(name), measure_pictures(images)))
    return dict(found)


def count_refused(
    card: CheckpointCard, cohort: Cohort, studies: Iterable[str], settings: Settings
) -> dict[str, int] | None:
    """Return from how many of the studies a prediction would have abstained: ``{"abstained", "n"}``; None without limits.

    Parameters
    ----------
    card
        The checkpoint's.
    cohort
        It says, too, whether its scans are known to be synthetic.
    studies
        Ids of those that are counted.
    settings
        Where the cache of prepared series lies.
    """
    limits = read_limits(card)
    if limits is None:
        return None
    refused = [_is_refused(cohort[one], card, limits, settings, synthetic=cohort.synthetic) for one in studies]
    return {"abstained": sum(refused), "n": len(refused)}


def _is_refused(
    study: Study, card: CheckpointCard, limits: GuardLimits, settings: Settings, *, synthetic: bool
) -> bool:
    prepared = []
    with suppress(SequenceError):
        for source in choose_sources(study, card)[0]:
            with suppress(DataError):  # left out, as in a prediction
                prepared.append((source, load_prepared(source, card.config.prep, settings)))
    if not prepared:
        return True
    distance = limits.measure([part for source, one in prepared for part in measure_source(source, one)])
    return judge(check_sources(prepared, card), distance, card, synthetic=synthetic)[0] == "abstained"


def judge(
    checks: Sequence[OodCheck], distance: Distance | None, card: CheckpointCard, *, synthetic: bool = True
) -> tuple[GuardState, str]:
    """Return what the guard says of a scan, and why it abstains with what to do (empty where it does not).

    Parameters
    ----------
    checks
        What :func:`core.inference.ood.run_checks` found; those with a remedy are reason enough.
    distance
        From the training images; None where the card has no limits.
    card
        The checkpoint's.
    synthetic
        Whether the scan is known to be synthetic. One that is not, a checkpoint of synthetic brains refuses if it has limits,
        whatever the distance: its features do not tell every real head from a drawn one.
    """
    against = [(check.sentence, check.remedy) for check in checks if check.remedy]
    if distance is not None and distance.refused:
        against.append((_say(distance), SYNTHETIC_REMEDY if card.synthetic else REMEDY))
    elif distance is not None and card.synthetic and not synthetic:
        against.append((UNMARKED, SYNTHETIC_REMEDY))
    if against:
        named = against[:SAID_AT_ONCE]
        return "abstained", " ".join([*(reason for reason, _ in named), *dict.fromkeys(remedy for _, remedy in named)])
    return ("not checked" if distance is None else "passed"), ""


REMEDY = (
    "See that it is a whole brain, of the sequence that it is taken for, neither inverted nor cut, and prepared as the training "
    "scans were; for scans of another kind, train a checkpoint on such scans."
)

UNMARKED = "The scan is not known to be synthetic."
SYNTHETIC_REMEDY = (
    "This checkpoint knows only synthetic brains; for real scans, choose or train one that learnt from real scans."
)


def _say(distance: Distance) -> str:
    return (
        f"The scan is unlike those that the checkpoint learnt from: its distance from them is {distance.value:.0f}, and up to "
        f"{distance.limit:.0f} is usual; most unlike are {' and '.join(distance.unlike)}."
    )


def _measure_series(
    references: Mapping[str, Reference], name: str, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each feature adds to each example's distance: (examples, features), which may be negative."""
    candidates = [references[name]] if name in references else list(references.values())
    found = []
    for one in candidates:
        offset = features - np.asarray(one.mean)
        found.append(offset * (offset @ np.asarray(one.precision)))
    return min(found, key=lambda part: float(part.sum(axis=1).mean()))
