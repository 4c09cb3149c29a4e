"""Leakage of a split by slice, measured with a nearest neighbour and without training.

A slice's nearest neighbour in pixel space is nearly always a slice of the same patient. With a split by slice, copying
that neighbour's label is therefore nearly always right, whatever the label means: as often with labels that were
shuffled among the patients. A network's accuracy by slice must be read beside this figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.study import Cohort
from core.dataset.predictions import name_patients
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.intervals import bootstrap_interval, wilson_interval
from core.evaluation.metrics import weighted_mean
from core.experiments.controls.thumbnails import THUMBNAIL_PX, make_thumbnails
from core.mri import MRSequence
from core.presets import find_preset
from core.progress import Progress, silent
from core.settings import Settings

PREPARED_PX = 96
"""Four prepared pixels become one of a thumbnail in each direction."""
DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
EVALUATED_SHARE = 0.25
"""Of a patient's slices in the dose curve; the rest are the siblings that may stand in training."""
MOST_SLICES = 6000
"""Of a larger cohort whole patients are drawn: the distances of all pairs must fit into memory."""
FEWEST_PATIENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DosePoint:
    """Accuracy of the nearest neighbour where a share of the evaluated patients has sibling slices in training."""

    share: float
    true: Figure
    shuffled: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakMeter:
    """What a nearest neighbour on thumbnails reaches; every accuracy is by slice, its interval by patient."""

    slices: int
    patients: int
    sequences: tuple[str, ...]
    folds: int
    repeats: int
    by_slice: Figure
    """Slices dealt out singly, true labels."""
    by_slice_shuffled: Figure
    by_patient: Figure
    """Whole patients held out, true labels."""
    by_patient_shuffled: Figure
    same_patient: Figure
    """Share of slices whose neighbour in a training part by slice is a slice of the same patient."""
    majority: float
    """Accuracy by slice of always saying the commonest class."""
    dose: tuple[DosePoint, ...]
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As ``leak-meter --json`` prints it."""
        return {
            "slices": self.slices,
            "patients": self.patients,
            "sequences": list(self.sequences),
            "thumbnail_px": THUMBNAIL_PX,
            "folds": self.folds,
            "repeats": self.repeats,
            "synthetic": self.synthetic,
            "majority": self.majority,
            "by_slice": {"true": self.by_slice.to_dict(), "shuffled": self.by_slice_shuffled.to_dict()},
            "by_patient": {"true": self.by_patient.to_dict(), "shuffled": self.by_patient_shuffled.to_dict()},
            "same_patient": self.same_patient.to_dict(),
            "dose": [
                {"share": point.share, "true": point.true.to_dict(), "shuffled": point.shuffled.to_dict()}
                for point in self.dose
            ],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slices:
    """What the meter works on."""

    distances: NDArray[np.float32]
    """(slices, slices), squared, in grey levels."""
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    member: NDArray[np.intp]
    """(slices,): number of the patient."""
    patient_labels: NDArray[np.int64]
    """(patients,)."""


def measure_cohort(
    cohort: Cohort,
    settings: Settings,
    prep: PrepConfig | None = None,
    *,
    repeats: int = 20,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress = silent,
    measuring: Progress = silent,
) -> LeakMeter:
    """Prepare a cohort's slices (through the cache) and measure its leak.

    Parameters
    ----------
    cohort, settings
        What, and where the cache lies.
    prep
        How scans become images; :func:`meter_prep` by default.
    repeats, seed
        As in :func:`measure_leak`.
    jobs
        Processes to prepare with.
    progress
        Called per series prepared.
    measuring
        Called per repeat.

    Raises
    ------
    EvaluationError
        Too few labelled patients, or images that are not single slices.
    EmptyCohortError
        No series can be used.
    """
    table = build_table(cohort, prep or meter_prep(cohort), settings, jobs=jobs, progress=progress)
    return measure_leak(table, repeats=repeats, seed=seed, synthetic=cohort.synthetic, progress=measuring)


def meter_prep(cohort: Cohort) -> PrepConfig:
    """The paper preset's slices at 96 px of one sequence, that of most series: siblings are then its neighbours."""
    counts = Counter(series.sequence for series in cohort.series)
    known = [sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN and counts[sequence]]
    prep = find_preset("paper").config.prep
    chosen = max(known, key=lambda sequence: (counts[sequence], sequence == MRSequence.T1WCE), default=None)
    sequences = prep.sequences if chosen is None else (chosen,)
    return prep.model_copy(update={"size_px": PREPARED_PX, "sequences": sequences})


def measure_leak(
    table: SliceTable,
    *,
    repeats: int = 20,
    folds: int = 5,
    seed: int = 0,
    synthetic: bool = False,
    progress: Progress = silent,
) -> LeakMeter:
    """Evaluate a nearest neighbour on thumbnails by slice and by patient, with true and with shuffled labels.

    Each repeat deals the slices, and the patients, out to `folds` parts anew and shuffles the labels among the
    patients anew; each slice is evaluated once a repeat, by its nearest neighbour in the other parts. A slice's score
    is its share of hits over the repeats, so that an interval is about patients, not about the luck of one split.

    Parameters
    ----------
    table
        Images (n, size, size); unlabelled ones are left out.
    repeats, folds, seed
        Of the splits.
    synthetic
        Said in the result.
    progress
        Called per repeat.

    Raises
    ------
    EvaluationError
        Fewer than ten labelled patients, one class only, or images that are not single slices.
    """
    rows, notes = _draw_rows(table, seed)
    slices = _look_up(table, rows)
    parts = min(folds, int(np.bincount(slices.patient_labels).min()))
    hits: dict[str, list[NDArray[np.bool_]]] = {}
    doses: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]] = []
    for repeat in range(repeats):
        generator = np.random.default_rng([seed, repeat])
        shuffled = generator.permutation(slices.patient_labels)[slices.member]
        for unit, fold in _deal(slices, parts, generator).items():
            neighbour = _nearest(slices.distances, fold, parts)
            hits.setdefault(f"{unit} true", []).append(slices.labels[neighbour] == slices.labels)
            hits.setdefault(f"{unit} shuffled", []).append(shuffled[neighbour] == shuffled)
            if unit == "slice":
                hits.setdefault("same", []).append(slices.member[neighbour] == slices.member)
            else:
                doses.append(_dose_hits(slices, shuffled, fold, parts, generator))
        progress(repeat + 1, repeats, "comparisons")
    figures = {name: _share(np.mean(each, axis=0), slices) for name, each in hits.items()}
    return LeakMeter(
        slices=len(rows),
        patients=len(slices.patient_labels),
        sequences=tuple(sorted({str(name) for name in table.rows["sequence"].iloc[rows]})),
        folds=parts,
        repeats=repeats,
        by_slice=figures["slice true"],
        by_slice_shuffled=figures["slice shuffled"],
        by_patient=figures["patient true"],
        by_patient_shuffled=figures["patient shuffled"],
        same_patient=figures["same"],
        majority=float(np.bincount(slices.labels).max() / len(rows)),
        dose=_dose_curve(doses, slices),
        synthetic=synthetic,
        notes=notes,
    )


def _draw_rows(table: SliceTable, seed: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Row numbers of the labelled slices; of very many, those of patients drawn at random."""
    rows = np.flatnonzero(table.rows["label"].to_numpy() >= 0).astype(np.int64)
    if len(rows) <= MOST_SLICES:
        return rows, ()
    patients = name_patients(table.rows.iloc[rows])
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    counts = {name: int(count) for name, count in zip(*np.unique(patients, return_counts=True), strict=True)}
    kept = names[np.cumsum([counts[name] for name in names]) <= MOST_SLICES]
    note = f"{len(kept)} of {len(names)} patients, drawn at random: the meter takes up to {MOST_SLICES} slices."
    return rows[np.isin(patients, kept)], (note,)


def _look_up(table: SliceTable, rows: NDArray[np.int64]) -> _Slices:
    labels = table.rows["label"].to_numpy(dtype=np.int64)[rows]
    patients = name_patients(table.rows.iloc[rows])
    names, first, member = np.unique(patients, return_index=True, return_inverse=True)
    counts = np.bincount(labels[first]) if len(rows) else np.zeros(1, np.int64)
    if len(names) < FEWEST_PATIENTS or (counts > 0).sum() < 2 or counts[counts > 0].min() < 2:
        raise EvaluationError(
            f"The leak meter needs at least {FEWEST_PATIENTS} labelled patients, two of each class; here are {len(names)}. "
            "Name a larger cohort, or its label table with --labels."
        )
    images = table.images(rows)
    if images.ndim != 3:
        raise EvaluationError("The leak meter compares single slices; leave form at 'slice'.")
    thumbnails = make_thumbnails(images)
    squares = (thumbnails**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * thumbnails @ thumbnails.T
    return _Slices(distances=distances, labels=labels, patients=patients, member=member, patient_labels=labels[first])


def _deal(slices: _Slices, parts: int, generator: np.random.Generator) -> dict[str, NDArray[np.intp]]:
    """Part of each slice, dealt by slice and by patient (stratified by label): (slices,) each."""
    by_slice = generator.permutation(len(slices.labels)) % parts
    by_patient = np.empty(len(slices.patient_labels), np.intp)
    for label in np.unique(slices.patient_labels):
        members = np.flatnonzero(slices.patient_labels == label)
        by_patient[members] = generator.permutation(len(members)) % parts
    return {"slice": by_slice.astype(np.intp), "patient": by_patient[slices.member]}


def _nearest(distances: NDArray[np.float32], fold: NDArray[np.intp], parts: int) -> NDArray[np.intp]:
    """Nearest slice in the other parts: (slices,)."""
    nearest = np.empty(len(fold), np.intp)
    for part in range(parts):
        evaluated, training = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        nearest[evaluated] = training[distances[np.ix_(evaluated, training)].argmin(axis=1)]
    return nearest


def _dose_hits(
    slices: _Slices,
    shuffled: NDArray[np.int64],
    fold: NDArray[np.intp],
    parts: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Hits with true and with shuffled labels, (doses, slices) each, and which slices were evaluated: (slices,).

    At every dose the same slices are evaluated and the training part is equally large: where siblings enter, as
    many slices of other patients leave.
    """
    true, other = np.zeros((2, len(DOSES), len(fold)))
    evaluated = _choose_evaluated(slices.member, generator)
    for part in range(parts):
        inside = np.flatnonzero((fold == part) & evaluated)
        held = generator.permutation(np.unique(slices.member[inside]))
        strangers = generator.permutation(np.flatnonzero(fold != part))
        for place, share in enumerate(DOSES):
            with_siblings = held[: round(share * len(held))]
            siblings = np.flatnonzero(np.isin(slices.member, with_siblings) & ~evaluated)[: len(strangers) - 1]
            training = np.concatenate([siblings, strangers[: len(strangers) - len(siblings)]])
            neighbour = training[slices.distances[np.ix_(inside, training)].argmin(axis=1)]
            true[place, inside] = slices.labels[neighbour] == slices.labels[inside]
            other[place, inside] = shuffled[neighbour] == shuffled[inside]
    return true, other, evaluated


def _choose_evaluated(member: NDArray[np.intp], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Choose a share of each patient's slices, at least one and never all; a patient of one slice is not evaluated."""
    evaluated = np.zeros(len(member), bool)
    for patient in np.unique(member):
        own = generator.permutation(np.flatnonzero(member == patient))
        count = min(max(round(EVALUATED_SHARE * len(own)), 1), len(own) - 1)
        evaluated[own[:count]] = True
    return evaluated


def _dose_curve(
    doses: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]], slices: _Slices
) -> tuple[DosePoint, ...]:
    times = np.sum([evaluated for _, _, evaluated in doses], axis=0)
    seen = times > 0
    means = [np.sum([dose[kind] for dose in doses], axis=0)[:, seen] / times[seen] for kind in (0, 1)]
    return tuple(
        DosePoint(share=share, true=_share(true, slices, seen), shuffled=_share(other, slices, seen))
        for share, true, other in zip(DOSES, *means, strict=True)
    )


def _share(hits: NDArray[np.float64], slices: _Slices, rows: NDArray[np.bool_] | None = None) -> Figure:
    """Mean of the slices' shares of hits, with an interval over patients.

    Where nothing varies, all patients being right or wrong alike, Wilson's interval of as many observations as there
    are patients stands in for the bootstrap, which would claim certainty.
    """
    kept = np.full(len(slices.labels), True) if rows is None else rows
    values, patients = np.asarray(hits, np.float64), slices.patients[kept]
    count = len(np.unique(patients))
    value = float(values.mean())
    try:
        low, high = bootstrap_interval(partial(weighted_mean, values), slices.labels[kept], patients)
        method = f"bootstrap over {count} patients, stratified by label, BCa"
    except EvaluationError:
        low, high = wilson_interval(value * count, count)
        method = f"Wilson over {count} patients"
    return Figure(value=value, low=min(low, value), high=max(high, value), n=len(values), method=method)
