"""Controls without training: whether headers, or what lies outside the brain, predict the label.

*Headers*: a logistic regression on what the headers say (scanner, protocol, times, plane, spacing, ...) and no pixel, and
each header by itself (:mod:`core.experiments.controls.header_panel`), beside it the site, the order of the studies and what
the files show (:mod:`core.experiments.controls.file_traces`). Labels are shuffled within sites where these are known.
*Blanked brain*: the same model on thumbnails in which every head is one grey: outline and background are left.
*Shuffled slices*: on true thumbnails, but every slice assigned to a random patient: nothing is left to find.
*Images*: on the thumbnails as they are, for comparison.

A network sees more than thumbnails do: ``train DATA --set blank_head=true`` trains one on blanked heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.prepare.slices import blank_heads
from core.data.study import Cohort, Study
from core.dataset.predictions import name_patients
from core.dataset.shuffle import name_site
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.errors import EvaluationError
from core.evaluation.metrics import Floats, Integers
from core.evaluation.permutation import adjust_holm, exchange_within
from core.experiments.controls.file_traces import INTENSITY, read_traces
from core.experiments.controls.head_result import HeadResult, mean_by_patient
from core.experiments.controls.header_panel import HeaderAssociation, associate_headers, read_acquisition
from core.experiments.controls.leak_meter import meter_prep
from core.experiments.controls.thumbnails import make_thumbnails
from core.figure_text import p_text, value_text
from core.progress import Progress, silent
from core.settings import Settings

SIGNIFICANT_P = 0.05
"""Largest p, after Holm over the controls, at which one counts as predicting the label."""
SUSPECTS = ("headers", "panel", "blanked", "shuffled")
"""Tests that are corrected together. "panel" is of each header by itself; whole images are there to compare with."""
PANEL_SHOWN = 12
ACROSS = ("site", "order")
"""Of the panel: looked at over all patients, for within a site they say nothing."""
FEWEST_ALIKE = 3
"""Patients who share a word of a header; a rarer one (a serial number of its own) can tell nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What one control sees, and what follows from either outcome."""

    name: str
    title: str
    sees: str
    found: str
    """What it means where the label is predicted."""
    other_way: str
    """What would have to be true for it to come out the other way."""


CONTROLS: tuple[Control, ...] = (
    Control(
        name="headers",
        title="Headers only",
        sees="scanner, site, protocol, times, field strength, plane, spacing, matrix and number of slices; no pixel",
        found="metadata predict the label: a network can learn the scanner instead of the tumour",
        other_way="It would find something if the classes had been scanned differently: other scanners, protocols or sites.",
    ),
    Control(
        name="blanked",
        title="Brain blanked",
        sees="the outline of the head and the background; each head is one grey",
        found="outline or background predict the label: marks, margins or the stripping differ between the classes",
        other_way="It would find something if marks, margins or skull-stripping differed between the classes.",
    ),
    Control(
        name="shuffled",
        title="Slices shuffled",
        sees="true slices, each assigned to a random patient",
        found="something is found where nothing is left: distrust the procedure, or take it as the one in twenty by chance",
        other_way="It would find something if the procedure itself leaked, for its images say nothing of their patients.",
    ),
    Control(
        name="pictures",
        title="Images as they are",
        sees="the whole slices, 24 x 24 pixels",
        found="the slices predict the label, by the tumour or by anything else that shows in them",
        other_way="It would find nothing if the label did not show in coarse grey levels; a network sees finer ones.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shortcuts:
    """The controls' results on one cohort."""

    results: dict[str, HeadResult]
    """By the name of the control; "headers" is missing where all headers are alike."""
    patients: int
    slices: int
    features: dict[str, float]
    """What the headers' model uses: summed absolute weights, largest first, by the header's name."""
    panel: tuple[HeaderAssociation, ...]
    """Each header by itself, the strongest first."""
    within: str
    """Among whom labels were shuffled, such as "within 3 sites"."""
    synthetic: bool
    notes: tuple[str, ...] = ()

    def adjust(self, name: str) -> float:
        """Return a control's p after Holm over all of them; "pictures", to compare with, stands alone."""
        if name not in SUSPECTS:
            return self.results[name].p_value
        p_values = {one: self.results[one].p_value for one in SUSPECTS if one in self.results}
        metadata = [one.p_value for one in self.panel if INTENSITY not in one.name.split()]
        if metadata:
            p_values["panel"] = metadata[0]
        adjusted = adjust_holm(p_values)
        return (
            min(adjusted[one] for one in ("headers", "panel") if one in adjusted)
            if name == "headers"
            else adjusted[name]
        )

    def found(self, name: str) -> bool:
        """Whether a control predicts the label better than chance: p at most 0.05 after Holm."""
        return name in self.results and self.adjust(name) <= SIGNIFICANT_P

    @property
    def sentence(self) -> str:
        """What predicts the label, and what each control reached."""
        suspects = [control for control in CONTROLS if control.name != "pictures" and control.name in self.results]
        told = [
            f"{one.title.lower()}: AUROC {value_text(self.results[one.name].auroc)}, {p_text(self.adjust(one.name), 'after Holm')}"
            for one in suspects
        ]
        guilty = [one.title.lower() for one in suspects if self.found(one.name)]
        verdict = f"The label is predicted by: {', '.join(guilty)}." if guilty else "None predicts the label."
        return f"{verdict} {'; '.join(told)}; n = {self.patients} patients"

    def to_dict(self) -> dict[str, Any]:
        """As ``shortcuts --json`` prints it."""
        controls = {}
        for control in CONTROLS:
            result = self.results.get(control.name)
            if result is not None:
                controls[control.name] = {
                    "auroc": result.auroc.to_dict(),
                    "p": result.p_value,
                    "p_holm": self.adjust(control.name),
                    "permutations": len(result.null),
                    "null_mean": float(result.null.mean()),
                    "predicts": self.found(control.name),
                    "sees": control.sees,
                    "other_way": control.other_way,
                }
        return {
            "controls": controls,
            "features": self.features,
            "within": self.within,
            "panel": [association.to_dict() for association in self.panel[:PANEL_SHOWN]],
            "patients": self.patients,
            "slices": self.slices,
            "synthetic": self.synthetic,
            "notes": list(self.notes),
        }


def find_shortcuts(
    cohort: Cohort,
    settings: Settings,
    prep: PrepConfig | None = None,
    *,
    permutations: int = 199,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress = silent,
) -> Shortcuts:
    """Run every control on a cohort's labelled patients.

    Parameters
    ----------
    cohort, settings
        What, and where the cache lies.
    prep
        How scans become images; one sequence at 96 px by default.
    permutations, seed
        Of each control's permutation test.
    jobs
        Processes to prepare with.
    progress
        Called per permutation, for each control from the start.

    Raises
    ------
    EvaluationError
        More than two classes, or fewer than six patients of one.
    """
    from core.experiments.controls.linear_head import evaluate_head, fit_weights

    if len(cohort.class_names) != 2:
        raise EvaluationError(f"The controls are made for two classes; {cohort.root} has {len(cohort.class_names)}.")
    results: dict[str, HeadResult] = {}
    headers, labels, studies = _header_table(cohort)
    exchange = exchange_within([name_site(study) for study in studies], labels)
    options: dict[str, Any] = {"permutations": permutations, "seed": seed, "progress": progress, "exchange": exchange}
    notes = list(_say_left_out(cohort, studies))
    weights: dict[str, float] = {}
    if headers.shape[1]:
        values = headers.to_numpy(np.float64)
        results["headers"] = evaluate_head(values, labels, **options)
        weights = _sum_by_header(list(headers.columns), fit_weights(values, labels))
    else:
        notes.append("All headers are alike, so there is nothing in them to predict from.")
    table = build_table(cohort, prep or meter_prep(cohort), settings, jobs=jobs, progress=progress)
    rows = np.flatnonzero(table.rows["label"].to_numpy() >= 0).astype(np.int64)
    member, truth, first = _patients(table, rows)
    sites = {study.study_id: name_site(study) for study in cohort.labelled}
    of_patients = [sites[name] for name in table.rows["study_id"].to_numpy()[rows[first]]]
    options["exchange"] = exchange_within(of_patients, truth)
    images = table.images(rows)
    if images.ndim != 3:
        raise EvaluationError("The controls look at single slices; leave form at 'slice'.")
    mixed = np.random.default_rng([seed, 7]).permutation(member)
    thumbnails = make_thumbnails(images)
    for name, features in (
        ("blanked", mean_by_patient(make_thumbnails(blank_heads(images)), member)),
        ("shuffled", mean_by_patient(thumbnails, mixed)),
        ("pictures", mean_by_patient(thumbnails, member)),
    ):
        results[name] = evaluate_head(features, truth, **options)
    return Shortcuts(
        results=results,
        patients=len(truth),
        slices=len(rows),
        features=weights,
        panel=tuple(
            associate_headers(
                pd.concat([headers, _trace_table(studies, settings)], axis=1),
                labels,
                exchange=exchange,
                across=ACROSS,
                seed=seed,
            )
        ),
        within=exchange.sentence,
        synthetic=cohort.synthetic,
        notes=tuple(notes),
    )


def describe_headers(study: Study) -> dict[str, float | str]:
    """Return what a study's headers say of the acquisition, by plain names; nothing that needs a pixel.

    Spacings are in millimetres. Absent attributes are left out; names of places, devices and protocols are digests.
    """
    found: dict[str, float | str] = {"series": float(len(study.series))}
    for series in sorted(study.series, key=lambda one: (str(one.sequence), one.series_uid)):
        start = str(series.sequence)
        found[f"{start} slices"] = float(series.slice_total or len(series.files))
        found[f"{start} rows"], found[f"{start} columns"] = float(series.rows), float(series.columns)
        if series.kind != "picture":
            found[f"{start} plane"] = str(series.plane)
        if series.manufacturer:
            found["scanner"] = series.manufacturer
        found |= {f"{start} {name}": value for name, value in read_acquisition(series).items()}
        if series.spacing_mm is not None:
            between, rows, _ = series.spacing_mm
            found[f"{start} slice distance (mm)"], found[f"{start} pixel (mm)"] = float(between), float(rows)
    return found


def _header_table(cohort: Cohort) -> tuple[pd.DataFrame, Integers, list[Study]]:
    """One row per labelled patient, numbers only, constant columns left out; 1 is the positive class."""
    studies: dict[str, Study] = {}
    for study in sorted(cohort.labelled, key=lambda one: one.study_id):
        studies.setdefault(study.person, study)
    chosen = list(studies.values())
    labels = np.array([int(study.label == cohort.positive_class) for study in chosen], np.int64)
    return _code(pd.DataFrame([describe_headers(study) for study in chosen])), labels, chosen


def _trace_table(studies: Sequence[Study], settings: Settings) -> pd.DataFrame:
    """One row per patient: the site, the place in the order of ids, and what the first series' middle file shows."""
    rows: list[dict[str, float | str]] = []
    for place, study in enumerate(studies):
        first = min(study.series, key=lambda one: (str(one.sequence), one.series_uid))
        rows.append({"site": name_site(study) or "missing", "order": float(place), **read_traces(first, settings)})
    return _code(pd.DataFrame(rows))


def _code(frame: pd.DataFrame) -> pd.DataFrame:
    """As numbers: a column for each word that enough patients share, and for what is missing; constant ones are left out."""
    words = [name for name in frame.columns if frame[name].dtype == object or pd.api.types.is_string_dtype(frame[name])]
    numbers = frame.drop(columns=words).astype(np.float64)
    missing = numbers.isna().astype(np.float64).add_suffix(" missing")
    coded = pd.get_dummies(frame[words].fillna("missing"), prefix_sep=": ", dtype=np.float64) if words else None
    if coded is not None:
        coded = coded.loc[:, coded.sum() >= FEWEST_ALIKE]
    parts = [numbers.fillna(numbers.median()).fillna(0.0), missing, *([] if coded is None else [coded])]
    table = pd.concat(parts, axis=1)
    return table.loc[:, table.nunique() > 1]


def _say_left_out(cohort: Cohort, studies: list[Study]) -> list[str]:
    extra = len(cohort.labelled) - len(studies)
    return [f"Headers: {extra} further studies of the same persons are left out."] if extra else []


def _patients(table: SliceTable, rows: NDArray[np.int64]) -> tuple[NDArray[np.intp], Integers, NDArray[np.intp]]:
    """Number of each slice's patient, each patient's label (1 is the positive class), and where its first slice is."""
    names = name_patients(table.rows.iloc[rows])
    _, first, member = np.unique(names, return_index=True, return_inverse=True)
    labels = table.rows["label"].to_numpy(dtype=np.int64)[rows]
    return member, (labels[first] == table.positive_class).astype(np.int64), first


def _sum_by_header(columns: Sequence[str], weights: Floats, most: int = 6) -> dict[str, float]:
    """Weights of a head fitted to all patients, summed by header, largest first (equal ones by name): what it uses, not how well."""
    sums: dict[str, float] = {}
    for column, weight in zip(columns, weights, strict=True):
        header = column.split(": ")[0].removesuffix(" missing")
        sums[header] = sums.get(header, 0.0) + float(weight)
    # Headers that are equal for every patient share a weight but for the last digits, which differ from processor to processor.
    return dict(sorted(sums.items(), key=lambda item: (-round(item[1], 9), item[0]))[:most])
