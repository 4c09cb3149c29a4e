"""The evaluation of a run: figures on some patients with the slices that they come from, kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from core.dataset.predictions import check_predictions, name_patients
from core.errors import EvaluationError
from core.evaluation.aggregate import Aggregation, group_labels, log_odds, to_groups
from core.evaluation.calibration import measure_calibration, to_probabilities
from core.evaluation.figure import Figure
from core.evaluation.figures import compute_figures, predict_classes
from core.evaluation.intervals import look_confidence
from core.evaluation.selection import withhold_intervals
from core.figure_text import number_text, value_text
from core.files import read_document, replace_atomically, write_atomic
from core.models.card import CheckpointCard, read_card
from core.runs.folder import RunFolder
from core.runs.ledger import count_evaluations, list_looks
from core.runs.persons import describe_history, marks_to_count
from core.settings import Settings

EvaluatedPart = Literal["test", "val", "data"]
NAMED = 5
"""Copies that a sentence names."""
SAME_VALUE = 1e-6
"""Up to which an AUROC computed again is the stored one."""


class _Match(BaseModel):
    """One person of another cohort who is the run's own patient."""

    person: str
    same_as: str
    reasons: list[str]


class _Overlap(BaseModel):
    """What an evaluation on another cohort says of persons who are in both."""

    count: Annotated[int, Field(ge=0)]
    persons: list[_Match]
    compared: dict[str, Annotated[int, Field(ge=0)]]
    unchecked: list[str]
    copies: list[_Match] = []


class EvaluationRecord(BaseModel):
    """evaluation-*.json without its figures, which are computed again."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    data: str
    looked_at: Annotated[int, Field(ge=0)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    epoch: Annotated[int, Field(ge=1)]
    leaky: bool
    synthetic: bool
    created: str
    notes: list[str] = []
    overlap: _Overlap | None = None


class _Stored(EvaluationRecord):
    """What a stored evaluation has besides; nothing of it is believed of an imported one."""

    class_names: list[str]
    positive_class: Annotated[int, Field(ge=0)]
    aggregation: Aggregation = "mean_logit"
    top_k: Annotated[int, Field(ge=1)] = 3
    history: dict[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Figures of a run's best checkpoint on some patients, and the logits that they come from."""

    part: EvaluatedPart
    data: str
    """The cohort's folder."""
    looked_at: int
    """Evaluations of these patients so far, this one included (:mod:`core.runs.ledger`); 0 for validation patients."""
    class_names: tuple[str, ...]
    positive_class: int
    threshold: float
    temperature: float
    epoch: int
    leaky: bool
    """The split was by slice, so that other slices of these patients may be in training."""
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
    overlap: dict[str, Any] | None = None
    """For another cohort: which of its persons are the run's own patients and were dropped, and what could not be checked
    (:meth:`core.audit.persons.Overlap.to_dict`)."""
    history: dict[str, int] | None = None
    """How many of the run's test patients others have judged or trained on before (:class:`core.runs.persons.PersonHistory`)."""
    look: int = 0
    """Which look at these patients it is (:func:`core.runs.ledger.number_look`); 0 where none is counted."""
    corrected: dict[str, Figure] = field(default_factory=dict)
    """Figures by patient with intervals that hold after so many looks (:func:`correct_figures`); empty where none is counted."""

    guard: dict[str, int] | None = None
    """Of how many studies the guard would not have answered (:func:`core.inference.guard.count_refused`)."""

    @property
    def judged(self) -> dict[str, Figure]:
        """Figures by patient that a sealed criterion is held against: after earlier looks, those corrected for them."""
        return self.corrected if self.look > 1 else self.patient

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
        """The evaluated patients, sorted: (patients,)."""
        return np.unique(name_patients(self.frame))

    @property
    def patient_labels(self) -> NDArray[np.int64]:
        """True class of each patient, in the order of ``patient_ids``: (patients,)."""
        return group_labels(self.slice_labels, name_patients(self.frame))

    @property
    def patient_logits(self) -> NDArray[np.float64]:
        """Logits of each patient, aggregated over slices, before the temperature: (patients, classes)."""
        patients = name_patients(self.frame)
        options = {"positive_class": self.positive_class, "k": self.top_k}
        return to_groups(self.slice_logits, patients, self.aggregation, **options)[1]

    @property
    def patient_probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities of each patient: (patients, classes)."""
        return to_probabilities(self.patient_logits, self.temperature)

    def tabulate_patients(self) -> pd.DataFrame:
        """Return one row per patient, those who were wrong first, each by how sure it was: patient, studies (ids), slices, true
        and said (class indices), probability (calibrated, of the positive class), right."""
        said = predict_classes(
            self.patient_logits,
            positive_class=self.positive_class,
            threshold=self.threshold,
            temperature=self.temperature,
        )
        by_patient = self.frame.groupby(name_patients(self.frame), sort=True)
        chances = self.patient_probabilities
        table = pd.DataFrame(
            {
                "patient": self.patient_ids,
                "studies": by_patient["study_id"].unique().map(list).to_numpy(),
                "slices": by_patient.size().to_numpy(),
                "true": self.patient_labels,
                "said": said,
                "probability": chances[:, self.positive_class],
                "right": said == self.patient_labels,
                "sure": chances[np.arange(len(said)), said],
            }
        )
        return table.sort_values(["right", "sure"], ascending=[True, False], kind="stable", ignore_index=True)

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
            "overlap": self.overlap,
            "history": self.history,
            "look": self.look,
            "guard": self.guard,
            "corrected": {name: figure.to_dict() for name, figure in self.corrected.items()},
        }


def build_evaluation(
    card: CheckpointCard,
    frame: pd.DataFrame,
    *,
    part: EvaluatedPart,
    data: str,
    leaky: bool,
    synthetic: bool,
    created: str,
    notes: tuple[str, ...] = (),
    overlap: dict[str, Any] | None = None,
) -> Evaluation:
    """Return the evaluation of a checkpoint from its predictions, with every figure computed.

    Parameters
    ----------
    card
        The checkpoint's card: classes, threshold, temperature and aggregation.
    frame
        Predictions (:func:`core.dataset.predictions.build_predictions`).
    part, data, leaky, synthetic, created, notes, overlap
        As in :class:`Evaluation`.
    """
    return with_figures(
        Evaluation(
            part=part,
            data=data,
            looked_at=0,
            class_names=card.class_names,
            positive_class=card.positive_class,
            threshold=card.threshold,
            temperature=card.temperature,
            epoch=card.epoch,
            leaky=leaky,
            synthetic=synthetic,
            created=created,
            patient={},
            slice={},
            frame=frame,
            notes=notes,
            aggregation=card.config.aggregation,
            top_k=card.config.top_k,
            overlap=overlap,
        ),
        card,
    )


def with_figures(evaluation: Evaluation, card: CheckpointCard) -> Evaluation:
    """Return the evaluation with every figure computed from its slices' logits.

    Those of validation patients come without intervals, but the AUROC by patient, where the card has it corrected for the
    choice of the epoch (:mod:`core.evaluation.selection`).
    """
    options = _options(evaluation)
    patient = compute_figures(evaluation.patient_labels, evaluation.patient_logits, **options)
    clusters = name_patients(evaluation.frame)
    by_slice = compute_figures(evaluation.slice_labels, evaluation.slice_logits, clusters, **options)
    if evaluation.part == "val":
        patient = withhold_intervals(patient, card.corrected_auroc())
        by_slice = withhold_intervals(by_slice)
    return replace(evaluation, patient=patient, slice=by_slice)


def correct_figures(evaluation: Evaluation, look: int) -> Evaluation:
    """Return the evaluation with figures by patient whose intervals allow for the earlier looks at the same patients.

    Parameters
    ----------
    evaluation
        With its figures.
    look
        Which one it is; the intervals of all looks together then miss in at most 5%
        (:func:`core.evaluation.intervals.look_confidence`). So late that no interval could be made, none is.
    """
    confidence = look_confidence(look)
    too_late = f"evaluated too often: at look {look} no interval holds"
    options = _options(evaluation) | {"confidence": min(confidence, 1 - 1e-15)}
    figures = compute_figures(evaluation.patient_labels, evaluation.patient_logits, **options)
    del figures["ece"]  # its interval is made for one level only
    for name, figure in figures.items():
        if figure.low is None:
            continue
        figures[name] = (
            replace(figure, method=f"{figure.method}; corrected for look {look}")
            if confidence < 1 - 1e-14
            else replace(figure, low=None, high=None, method="", reason=too_late)
        )
    return replace(evaluation, look=look, corrected=figures)


def describe_looks(evaluation: Evaluation) -> list[str]:
    """Return in sentences what earlier looks at the evaluated patients leave of its figures, and who of them is not new."""
    lines = [describe_history(evaluation.history)]
    auroc = evaluation.corrected.get("auroc")
    if auroc is not None and auroc.value is not None:
        lines.append(
            f"Interval corrected for look {evaluation.look} at these patients, whatever was chosen by the earlier ones: AUROC by "
            f"patient {value_text(auroc)}."
        )
    return [line for line in lines if line]


def _options(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "class_names": evaluation.class_names,
        "positive_class": evaluation.positive_class,
        "threshold": evaluation.threshold,
        "temperature": evaluation.temperature,
    }


def evaluate_validation(run: RunFolder) -> Evaluation:
    """Return the evaluation of the validation patients from the stored predictions of the best epoch.

    Raises
    ------
    RunError
        The run has no predictions yet.
    CheckpointError
        Its checkpoint is damaged.
    """
    card = read_card(run.checkpoint)
    return build_evaluation(
        card, run.predictions(), part="val", data=run.source.root, leaky=card.split_unit == "slice",
        synthetic=card.synthetic, created=card.created,
    )  # fmt: skip


def read_evaluation(run: RunFolder, part: EvaluatedPart = "test", digest: str = "") -> Evaluation | None:
    """Return the stored evaluation of a part, or None; nothing is scored, and nothing is counted in the ledger.

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
        content: dict[str, Any] = read_document(path)
        levels = {
            level: TypeAdapter(dict[str, Figure]).validate_python(content.pop(level, {}))
            for level in ("patient", "slice", "corrected")
        }
        _Stored.model_validate(content)
        del content["majority"]
        content |= {"class_names": tuple(content["class_names"]), "notes": tuple(content["notes"])}
        if part == "val":  # an older version stored intervals
            levels = {level: withhold_intervals(figures) for level, figures in levels.items()}
        content |= levels | {"frame": check_predictions(path.with_suffix(".parquet"), len(content["class_names"]))}
        return Evaluation(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{path} is damaged ({type(error).__name__}); delete it and evaluate {run.name} again."
        ) from error


def digest_answers(frame: pd.DataFrame) -> str:
    """Return sixteen hex digits over who was evaluated, the labels, and every slice's logits to six digits."""
    logits = sorted(name for name in map(str, frame.columns) if name.startswith("logit_"))
    rows = frame.sort_values("key")[["key", "label", *logits]].round(dict.fromkeys(logits, 6))
    return hashlib.sha256(rows.to_csv(index=False, float_format="%.6f").encode()).hexdigest()[:16]


def verify_evaluation(run: RunFolder, card: CheckpointCard, stored: Evaluation, settings: Settings) -> list[str]:
    """Return in sentences why a stored evaluation of a run's test patients is not what the ledger and the checkpoint say it is.

    Parameters
    ----------
    run, card
        The run, and its checkpoint as it is now.
    stored
        As :func:`read_evaluation` returns it.
    settings
        Where the ledger lies.
    """
    looks = list_looks(run.split().test_digest, settings)
    own = [look for look in looks if look["run"] == run.name]
    found = []
    if not looks:
        found.append(
            "The ledger does not hold the evaluation that this run has: entries were removed, and how often these patients "
            "were looked at is not known."
        )
    known = {look["answers"] for look in own} - {""}
    value, again = stored.patient["auroc"].value, with_figures(stored, card).patient["auroc"].value
    if (value is None) != (again is None) or abs((value or 0) - (again or 0)) > SAME_VALUE:
        found.append(
            f"The stored AUROC of the test patients was changed after it was written: their answers give {number_text(again)}."
        )
    if known and digest_answers(stored.frame) not in known:
        found.append("The stored answers of the test patients are not those in the ledger: a file was changed since.")
    if (stored.epoch, stored.threshold, stored.temperature) != (card.epoch, card.threshold, card.temperature):
        found.append(
            f"The evaluation is of other weights, or another threshold, than the checkpoint has now (epoch {stored.epoch}, now "
            f"{card.epoch}; threshold {stored.threshold:.3f}, now {card.threshold:.3f})."
        )
    if any(look["partition"] for look in own):
        found.append(
            "These test patients are one fold of a cross-validation: its result is that of all folds, not of one."
        )
    return found


def calibration_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Return how far the probabilities that the checkpoint gives are off, by patient; two classes.

    As :func:`core.evaluation.calibration.measure_calibration`, with the checkpoint's own temperature. Validation patients, which
    took part in its choice, give no interval.
    """
    odds = log_odds(evaluation.patient_logits / evaluation.temperature, evaluation.positive_class)
    figures = measure_calibration(evaluation.patient_labels == evaluation.positive_class, odds)
    return withhold_intervals(figures) if evaluation.part == "val" else figures


def read_best_known(run: RunFolder) -> Evaluation:
    """Return the stored evaluation of the test patients, or, where there is none, that of the validation patients."""
    return read_evaluation(run, "test") or evaluate_validation(run)


def count_test_evaluations(run: RunFolder, settings: Settings) -> int:
    """Return how often the run's test patients have been evaluated, by any run."""
    split = run.split()
    return count_evaluations(split.test_digest, settings, split.cohort_digest, marks_to_count(run, settings))


def describe_overlap(overlap: Mapping[str, Any] | None) -> list[str]:
    """Return in sentences who was dropped from another cohort, why, and what could not be checked."""
    if overlap is None:
        return []
    reasons = Counter(reason for person in overlap["persons"] for reason in person["reasons"])
    lines = list(overlap["unchecked"])
    if overlap["count"]:
        why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        lines.insert(
            0,
            f"Dropped, because the run has them: {overlap['count']} of {overlap['compared']['persons']} persons ({why}).",
        )
    elif overlap["compared"]["with"]:
        lines.insert(0, f"None of its {overlap['compared']['persons']} persons was found among the run's own patients.")
    return [*describe_copies(overlap), *lines]


def describe_copies(overlap: Mapping[str, Any]) -> list[str]:
    """Return in a sentence which persons of another cohort are copies within it; nothing where none is, or nobody looked."""
    copies = overlap.get("copies", [])
    pairs = ", ".join(f"{one['person']} of {one['same_as']}" for one in copies[:NAMED])
    return [f"Counted once: {len(copies)} of its persons are copies of another ({pairs})."] if copies else []


def store_evaluation(run: RunFolder, evaluation: Evaluation, digest: str) -> None:
    """Write an evaluation into the run's folder; `digest` is that of another cohort, where one was evaluated."""
    path = _stored_at(run, evaluation.part, digest)
    with replace_atomically(path.with_suffix(".parquet")) as beside:
        evaluation.frame.to_parquet(beside)
    write_atomic(path, json.dumps(evaluation.to_dict(), indent=1))


def _stored_at(run: RunFolder, part: EvaluatedPart, digest: str) -> Path:
    return run.path / (f"evaluation-data-{digest}.json" if part == "data" else f"evaluation-{part}.json")
