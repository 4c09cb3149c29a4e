"""Images that maps are tested on: where the tumour lies in them, and which pixels the biomarker alone changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.cache import load_prepared
from core.data.prepare.examples import PreparedSeries
from core.data.study import Cohort, Series, Study
from core.errors import DataError
from core.explain.validation.scores import dilate
from core.inference.predict import Predictor
from core.inference.sources import choose_sources
from core.phantom.counterfactual import find_changes, make_counterfactual
from core.phantom.truth import draw_mask, has_truth, read_truth
from core.progress import Progress
from core.settings import Settings

LEAST_TUMOUR = {"slice": 0.01, "streams": 0.01, "volume": 0.001}
"""By form: examples of which the tumour takes a smaller share are left out."""
LEAST_CHANGE = 0.1
"""Share of the tumour that the counterfactual must change for its pixels to be a truth."""
FEW = 16
"""Images for the cascade of random weights and for ROAD, which are slow; the other figures use every tested image."""
TOLERANCE = 15 / 224
"""Distance from the tumour, as a share of the image's side, within which a peak counts as near: 15 pixels of 224, the
15 pixels that the pointing game was published with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TumourImages:
    """The tested examples of one series, or of one study on a common grid."""

    study_id: str
    sequence: str
    """Several joined by "+"."""
    prepared: PreparedSeries
    """The tested examples alone."""
    tumour: NDArray[np.bool_] | None
    """Where the tumour lies, (examples, size, size), of volumes (examples, depth, size, size); None where it is not known."""
    changed: NDArray[np.bool_] | None
    """Likewise, what the counterfactual changes."""
    counterfactual: PreparedSeries | None
    """The same examples with another biomarker."""
    rising: bool
    """Whether the counterfactual's biomarker is the higher one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TumourImageSet:
    """All tested images as one batch, and what is known of them; n images, or volumes."""

    parts: list[TumourImages]
    pooled: PreparedSeries
    patients: NDArray[np.str_]
    """(n,)."""
    targets: NDArray[np.int64]
    """(n,): the class that the network finds more likely, which the map speaks for."""
    few: NDArray[np.int64]
    """Numbers of the images for what is slow."""
    heads: NDArray[np.bool_]
    """(n, size, size), of volumes (n, depth, size, size)."""
    tumour: NDArray[np.bool_] | None
    near: NDArray[np.bool_] | None
    """The tumour and what lies within the tolerance around it."""
    changed: NDArray[np.bool_] | None
    """What the biomarker alone changes, in the images of `known`."""
    known: NDArray[np.int64]
    """Numbers of the images whose counterfactual is known."""


def choose_images(
    predictor: Predictor, cohort: Cohort, settings: Settings, studies: int, per_series: int, progress: Progress
) -> list[TumourImages]:
    """Return examples of a cohort's first studies; where the tumour is known, only those that show it.

    Parameters
    ----------
    predictor
        Whose preparation.
    cohort, settings
        The data, and where the cache lies.
    studies
        How many at most.
    per_series
        How many examples of each series at most, evenly spread.
    progress
        Called after each study.

    Raises
    ------
    DataError
        Nothing is left.
    """
    known = has_truth(cohort.root)
    chosen: list[TumourImages] = []
    first = list(cohort)[:studies]
    for done, study in enumerate(first, start=1):
        chosen += _of_study(predictor, cohort, study, settings, per_series, known)
        progress(done, len(first), f"images of {study.study_id}")
    if not chosen:
        raise DataError(
            f"{cohort.root} has no image to test maps on: none of its first {studies} studies can be used by "
            f"{predictor.card.name!r}, or none shows a tumour."
        )
    return chosen


def pool_images(predictor: Predictor, parts: list[TumourImages]) -> TumourImageSet:
    """Return the tested images as one batch, with the class that the network finds more likely in each."""
    pooled = pool([part.prepared for part in parts])
    masks = [part.tumour for part in parts if part.tumour is not None]
    tumour = np.concatenate(masks) if masks else None
    heads: NDArray[np.bool_] = np.asarray(pooled.pixels) > 0
    if heads.ndim > 3 + (pooled.layers is not None):
        heads = np.asarray(heads.any(axis=1), bool)
    changes = [part.changed for part in parts if part.changed is not None]
    known = np.concatenate([np.full(len(part.prepared.pixels), part.changed is not None) for part in parts])
    count = len(pooled.pixels)
    return TumourImageSet(
        parts=parts,
        pooled=pooled,
        patients=np.concatenate([np.full(len(part.prepared.pixels), part.study_id) for part in parts]),
        targets=predictor.score(pooled).argmax(axis=1),
        few=np.unique(np.linspace(0, count - 1, min(FEW, count)).astype(int)),
        heads=heads,
        tumour=tumour,
        near=None if tumour is None else dilate(tumour, TOLERANCE * tumour.shape[-1]),
        changed=np.concatenate(changes) if changes else None,
        known=np.flatnonzero(known),
    )


def pool(parts: Sequence[PreparedSeries]) -> PreparedSeries:
    """Return examples of several series as if they were of one, so that they are mapped in full batches."""
    return replace(
        parts[0],
        pixels=np.concatenate([part.pixels for part in parts]),
        slice_index=np.concatenate([part.slice_index for part in parts]),
    )


def take(prepared: PreparedSeries, places: Sequence[int] | NDArray[np.int64]) -> PreparedSeries:
    """Return some of a series' examples."""
    chosen = np.asarray(places, int)
    return replace(
        prepared,
        pixels=np.array(prepared.pixels[chosen]),
        slice_index=prepared.slice_index[chosen],
        frames=tuple(prepared.frames[place] for place in chosen) if len(prepared.frames) > chosen.max() else (),
        layers=None if prepared.layers is None else prepared.layers[chosen % len(prepared.layers)],
    )


def _of_study(
    predictor: Predictor, cohort: Cohort, study: Study, settings: Settings, per_series: int, known: bool
) -> Iterator[TumourImages]:
    prep = predictor.card.config.prep
    truth = read_truth(cohort.root, study.study_id) if known else None
    counterfactual = make_counterfactual(cohort.root, study.study_id, settings) if known else None
    for source in choose_sources(study, predictor.card)[0]:
        prepared = load_prepared(source, prep, settings)
        tumour = draw_mask(truth.tumour, source, prepared, prep, settings) if truth else None
        shows = np.arange(len(prepared.pixels))
        if tumour is not None:
            shows = np.flatnonzero(tumour.reshape(len(tumour), -1).mean(axis=1) >= LEAST_TUMOUR[prep.form])
        if not shows.size:
            continue
        count = min(per_series, shows.size)
        chosen = shows[((np.arange(count) + 0.5) * shows.size / count).astype(int)]
        other, changed = None, None
        if counterfactual is not None and tumour is not None:
            twin = _same_series(source, counterfactual.study)
            other = load_prepared(twin, prep, settings) if twin else None
            changed = find_changes(prepared, other) if other else None
            if changed is not None and changed[chosen].sum() < LEAST_CHANGE * tumour[chosen].sum():
                changed = None
        yield TumourImages(
            study_id=study.study_id,
            sequence="+".join(str(series.sequence) for series in source),
            prepared=take(prepared, chosen),
            tumour=None if tumour is None else tumour[chosen],
            changed=None if changed is None else changed[chosen],
            counterfactual=None if changed is None or other is None else take(other, chosen),
            rising=counterfactual is not None and counterfactual.z > counterfactual.original_z,
        )


def _same_series(source: Sequence[Series], study: Study) -> tuple[Series, ...] | None:
    """The series of another study with the same sequences."""
    found = {series.sequence: series for series in study.series}
    same = tuple(found[series.sequence] for series in source if series.sequence in found)
    return same if len(same) == len(source) else None
