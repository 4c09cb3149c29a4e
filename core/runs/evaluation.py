"""Judge a run: on its test patients, its validation patients, or another cohort altogether."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.study import Cohort
from core.errors import EvaluationError, RunError, SequenceError
from core.evaluation.aggregate import Aggregation, group_labels, to_groups
from core.evaluation.calibration import to_probabilities
from core.evaluation.figure import Figure
from core.evaluation.figures import compute_figures
from core.files import replace_atomically, write_atomic
from core.progress import Progress, silent
from core.runs.folder import RunFolder, now
from core.runs.ledger import count_evaluations, record_evaluation
from core.settings import Settings
from core.training.best import slice_frame
from core.training.data import open_cohort
from core.training.phase_summary import name_patients

if TYPE_CHECKING:
    from torch import nn

    from core.dataset.table import SliceTable
    from core.models.checkpoint import CheckpointCard


EvaluatedPart = Literal["test", "val", "data"]

SCORED_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a run's best weights are worth on some patients."""

    part: EvaluatedPart
    data: str
    """The cohort's folder."""
    looked_at: int
    """How often these patients have been looked at, this time included; 0 for validation patients."""
    class_names: tuple[str, ...]
    positive_class: int
    threshold: float
    temperature: float
    epoch: int
    leaky: bool
    """The split was by slice, so that siblings of these slices may have been trained on."""
    synthetic: bool
    created: str
    patient: dict[str, Figure]
    slice: dict[str, Figure]
    frame: pd.DataFrame
    """One row per slice: key, study_id, person, sequence, slice_index, label, logit_0, ..."""
    notes: tuple[str, ...] = ()
    aggregation: Aggregation = "mean_logit"
    top_k: int = 3
    """From slices to patients (:func:`core.evaluation.aggregate.to_groups`)."""

    @property
    def slice_labels(self) -> NDArray[np.int64]:
        """True class of each slice: (slices,)."""
        return self.frame["label"].to_numpy(dtype=np.int64)

    @property
    def slice_logits(self) -> NDArray[np.float64]:
        """Logits of each slice, before the temperature: (slices, classes)."""
        columns = [f"logit_{index}" for index in range(len(self.class_names))]
        return self.frame[columns].to_numpy(dtype=np.float64)

    @property
    def slice_probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities of each slice: (slices, classes)."""
        return to_probabilities(self.slice_logits, self.temperature)

    @property
    def patient_ids(self) -> NDArray[np.str_]:
        """Who was judged, sorted: (patients,)."""
        return np.unique(name_patients(self.frame))

    @property
    def patient_labels(self) -> NDArray[np.int64]:
        """True class of each patient, in the order of ``patient_ids``: (patients,)."""
        return group_labels(self.slice_labels, name_patients(self.frame))

    @property
    def patient_logits(self) -> NDArray[np.float64]:
        """What each patient's slice logits are combined to, before the temperature: (patients, classes)."""
        patients = name_patients(self.frame)
        options = {"positive_class": self.positive_class, "k": self.top_k}
        return to_groups(self.slice_logits, patients, self.aggregation, **options)[1]

    @property
    def patient_probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities of each patient: (patients, classes)."""
        return to_probabilities(self.patient_logits, self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """As ``evaluate --json`` prints it."""
        counts = np.bincount(self.patient_labels, minlength=len(self.class_names))
        return {
            "part": self.part,
            "looked_at": self.looked_at,
            "data": self.data,
            "patient": {name: figure.to_dict() for name, figure in self.patient.items()},
            "slice": {name: figure.to_dict() for name, figure in self.slice.items()},
            "majority": {
                "class": self.class_names[int(counts.argmax())],
                "patient": self.patient["majority_accuracy"].value,
                "slice": self.slice["majority_accuracy"].value,
            },
            "class_names": list(self.class_names),
            "positive_class": self.positive_class,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "epoch": self.epoch,
            "leaky": self.leaky,
            "synthetic": self.synthetic,
            "created": self.created,
            "notes": list(self.notes),
            "aggregation": self.aggregation,
            "top_k": self.top_k,
        }


def evaluate_run(
    run: RunFolder,
    part: Literal["test", "val"],
    settings: Settings,
    other: Cohort | None = None,
    progress: Progress = silent,
    *,
    partition: str = "",
) -> Evaluation:
    """Score a run's best weights on patients, and keep the result in the run's folder.

    Looking at the run's test patients, or at another cohort, is written into the ledger before any figure is
    returned; validation patients chose the epoch, the threshold and the temperature, so looking at them again
    costs nothing and proves little.

    Parameters
    ----------
    run
        A run with a finished epoch.
    part
        Which patients of the run's own cohort; not used with `other`.
    settings
        Where cache and ledger live.
    other
        Another cohort, all of whose labelled studies are judged: external validation.
    progress
        Called with slices scored.
    partition
        Where the test patients are one fold of a cross-validation: its name, for the ledger.

    Raises
    ------
    EvaluationError
        The part is empty, the data have changed since the split, or the classes of `other` mean something else.
    SequenceError
        `other` holds none of the sequences that the checkpoint was trained on.
    RunError
        The run has no checkpoint yet.
    """
    from core.dataset.table import build_table
    from core.models.checkpoint import load_model

    if not run.checkpoint.exists():
        raise RunError(f"{run.name} has no checkpoint yet; it comes with its first finished epoch.")
    model, card = load_model(run.checkpoint)
    cohort = open_cohort(run.source, progress, settings) if other is None else other
    table = build_table(cohort, card.config.prep, settings, progress=progress)
    if other is None:
        rows, digest, notes = _own_rows(run, table, cohort, part)
    else:
        rows, digest, notes = _other_rows(run, table, cohort, card)
    labels = _labels(table, rows, card, cohort)
    frame = slice_frame(table.rows.iloc[rows], _score(model, card, table, rows, progress)).assign(label=labels)
    judged: EvaluatedPart = part if other is None else "data"
    evaluation = with_figures(
        Evaluation(
            part=judged,
            data=str(cohort.root),
            looked_at=0,
            class_names=card.class_names,
            positive_class=card.positive_class,
            threshold=card.threshold,
            temperature=card.temperature,
            epoch=card.epoch,
            leaky=card.split_unit == "slice" and other is None,
            synthetic=cohort.synthetic,
            created=now(),
            patient={},
            slice={},
            frame=frame,
            notes=notes,
            aggregation=card.config.aggregation,
            top_k=card.config.top_k,
        )
    )
    if judged != "val":
        by = {"cohort_digest": cohort.digest, "partition": partition} if other is None else {}
        evaluation = replace(evaluation, looked_at=record_evaluation(digest, run.name, settings, **by))
    store_evaluation(run, evaluation, digest)
    return evaluation


def read_evaluation(run: RunFolder, part: EvaluatedPart = "test", digest: str = "") -> Evaluation | None:
    """Return the stored judgement of a part, or None; this is no look, and scores nothing.

    Parameters
    ----------
    run
        The run.
    part
        "test", "val", or "data" for another cohort.
    digest
        With "data", that cohort's digest.

    Raises
    ------
    EvaluationError
        The stored result is damaged.
    """
    path = _stored_at(run, part, digest)
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        levels = {
            level: {name: Figure(**figure) for name, figure in content.pop(level).items()}
            for level in ("patient", "slice")
        }
        del content["majority"]
        content |= {"class_names": tuple(content["class_names"]), "notes": tuple(content["notes"])}
        content |= levels | {"frame": pd.read_parquet(path.with_suffix(".parquet"))}
        return Evaluation(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{path} is damaged ({type(error).__name__}); delete it and evaluate {run.name} again."
        ) from error


def looks(run: RunFolder, settings: Settings) -> int:
    """Return how often the run's test patients have been looked at, by any run; does not look."""
    split = run.split()
    return count_evaluations(split.test_digest, settings, split.cohort_digest)


def _own_rows(
    run: RunFolder, table: SliceTable, cohort: Cohort, part: Literal["test", "val"]
) -> tuple[NDArray[np.int64], str, tuple[str, ...]]:
    split = run.split()
    if split.cohort_digest != cohort.digest:
        raise EvaluationError(
            f"{cohort.root} is no longer what {run.name} was split on (digest {cohort.digest}, then "
            f"{split.cohort_digest}); restore the data, or judge them as another cohort with --data."
        )
    rows = split.indices(table, part)
    if len(rows) == 0:
        raise EvaluationError(f"The {part} part of {run.name} is empty; judge another part, or another cohort.")
    return rows, split.test_digest, ()


def _other_rows(
    run: RunFolder, table: SliceTable, cohort: Cohort, card: CheckpointCard
) -> tuple[NDArray[np.int64], str, tuple[str, ...]]:
    if cohort.digest == card.cohort_digest:
        raise EvaluationError(
            f"{cohort.root} is the cohort that {run.name} was trained on; judge its untouched patients with --part test."
        )
    labelled = table.rows["label"].to_numpy() >= 0
    if not labelled.any():
        raise EvaluationError(f"{cohort.root} has no labels to judge by; name a table of labels with --labels.")
    seen = {str(sequence) for sequence in card.sequences}
    known = table.rows["sequence"].map(lambda names: set(names.split("+")) <= seen).to_numpy(dtype=bool)
    unseen = sorted(set(table.rows["sequence"][labelled & ~known]))
    if not (labelled & known).any():
        raise SequenceError(
            f"{run.name} was trained on {', '.join(card.sequences)}; {cohort.root} holds only {', '.join(unseen)}."
        )
    notes = [f"Left out, because the checkpoint has never seen them: {', '.join(unseen)}."] if unseen else []
    return np.flatnonzero(labelled & known).astype(np.int64), cohort.digest, tuple(notes)


def _labels(table: SliceTable, rows: NDArray[np.int64], card: CheckpointCard, cohort: Cohort) -> NDArray[np.int64]:
    """Labels in the checkpoint's order of classes: another cohort may list the same names in another order."""
    theirs, ours = table.class_names, card.class_names
    same_meaning = sorted(theirs) == sorted(ours) and theirs[table.positive_class] == ours[card.positive_class]
    if not same_meaning:
        raise EvaluationError(
            f"The labels of {cohort.root} mean {' / '.join(theirs)} (positive: {theirs[table.positive_class]}), those of "
            f"the checkpoint {' / '.join(ours)} (positive: {ours[card.positive_class]}); name the classes alike."
        )
    order = np.array([ours.index(name) for name in theirs])
    return order[table.rows["label"].to_numpy(dtype=np.int64)[rows]]


def _score(
    model: nn.Module, card: CheckpointCard, table: SliceTable, rows: NDArray[np.int64], progress: Progress
) -> NDArray[np.float32]:
    from core.models.forward import choose_compute, place_model, score_images
    from core.models.registry import find_architecture

    compute = choose_compute(card.config)
    architecture = find_architecture(card.config.architecture)
    model = place_model(model, compute)
    pieces = []
    for start in range(0, len(rows), SCORED_AT_ONCE):
        images = table.images(rows[start : start + SCORED_AT_ONCE])
        pieces.append(score_images(model, images, architecture, compute))
        progress(start + len(images), len(rows), "slices")
    return np.concatenate(pieces)


def with_figures(evaluation: Evaluation) -> Evaluation:
    """Return the judgement with every figure computed from its slices' logits."""
    options: dict[str, Any] = {
        "class_names": evaluation.class_names,
        "positive_class": evaluation.positive_class,
        "threshold": evaluation.threshold,
        "temperature": evaluation.temperature,
    }
    return replace(
        evaluation,
        patient=compute_figures(evaluation.patient_labels, evaluation.patient_logits, **options),
        slice=compute_figures(
            evaluation.slice_labels, evaluation.slice_logits, name_patients(evaluation.frame), **options
        ),
    )


def store_evaluation(run: RunFolder, evaluation: Evaluation, digest: str) -> None:
    """Keep a judgement in the run's folder; `digest` is the other cohort's, where one was judged."""
    path = _stored_at(run, evaluation.part, digest)
    with replace_atomically(path.with_suffix(".parquet")) as beside:
        evaluation.frame.to_parquet(beside)
    write_atomic(path, json.dumps(evaluation.to_dict(), indent=1))


def _stored_at(run: RunFolder, part: EvaluatedPart, digest: str) -> Path:
    return run.path / (f"evaluation-data-{digest}.json" if part == "data" else f"evaluation-{part}.json")
