"""Runs compared: learning curves, differences of settings, and differences of AUROC on the patients they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import EvaluationError, RunError
from core.evaluation.aggregate import log_odds
from core.evaluation.curves import Curve, ReliabilityBins, reliability_bins, roc_curve
from core.experiments.comparison.differences import SettingDifference, differing_settings
from core.experiments.comparison.pair import Difference, pair_runs
from core.models.card import read_card
from core.runs.evaluation import Evaluation, evaluate_validation, read_evaluation
from core.runs.folder import RunFolder, now
from core.runs.ledger import count_evaluations
from core.runs.records import EpochRecord, RunStatus
from core.runs.tags import read_tags
from core.settings import Settings

ComparedPart = Literal["val", "test"]
MOST_RUNS = 12
"""More curves in one figure cannot be told apart, and more differences prove nothing."""
RELIABILITY_BINS = 6
PARTS: dict[ComparedPart, str] = {"val": "validation patients", "test": "test patients"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedRun:
    """One run of a comparison."""

    run: RunFolder
    label: str
    """Its name; with the folder above it where two runs have the same."""
    status: RunStatus
    preset: str
    architecture: str
    leaky: bool
    tags: tuple[str, ...]
    epochs: tuple[EpochRecord, ...]
    cohort: str
    """Digest of the cohort: ids mean the same patients only within one."""
    evaluation: Evaluation | None
    reason: str
    """Why there is no evaluation."""
    warnings: tuple[str, ...]

    @property
    def positive_name(self) -> str:
        """Name of the positive class; empty without an evaluation."""
        return self.evaluation.class_names[self.evaluation.positive_class] if self.evaluation else ""

    @property
    def best(self) -> EpochRecord | None:
        """The epoch whose weights were kept."""
        return next((record for record in self.epochs if record.epoch == self.status.best_epoch), None)

    def patients(self) -> tuple[NDArray[np.str_], NDArray[np.bool_], NDArray[np.float64]]:
        """Evaluated patients, whether they are of the positive class, and its log odds: each of shape (patients,)."""
        evaluation = self.evaluation
        assert evaluation is not None
        odds = log_odds(evaluation.patient_logits, evaluation.positive_class)
        return evaluation.patient_ids, evaluation.patient_labels == evaluation.positive_class, odds

    def roc(self) -> Curve | None:
        """The ROC curve by patient, of the positive class against the rest; None where a class is missing."""
        if self.evaluation is None:
            return None
        _, positive, odds = self.patients()
        return roc_curve(positive, odds) if 0 < positive.sum() < len(positive) else None

    def reliability(self) -> ReliabilityBins | None:
        """Probability said, with the checkpoint's temperature, against share observed, by patient."""
        evaluation = self.evaluation
        if evaluation is None:
            return None
        positive = evaluation.patient_labels == evaluation.positive_class
        probabilities = evaluation.patient_probabilities[:, evaluation.positive_class]
        return reliability_bins(positive, probabilities, RELIABILITY_BINS, selected=evaluation.part == "val")

    def to_dict(self) -> dict[str, Any]:
        """As in ``runs compare --json``."""
        evaluation = self.evaluation
        return {
            "name": self.label,
            "state": self.status.state,
            "note": self.status.note,
            "tags": list(self.tags),
            "preset": self.preset,
            "architecture": self.architecture,
            "leaky": self.leaky,
            "cohort_digest": self.cohort,
            "best_epoch": self.status.best_epoch,
            "epochs": [record.model_dump(mode="json") for record in self.epochs],
            "patient": {name: figure.to_dict() for name, figure in evaluation.patient.items()} if evaluation else None,
            "slice": {name: figure.to_dict() for name, figure in evaluation.slice.items()} if evaluation else None,
            "looked_at": evaluation.looked_at if evaluation else None,
            "reason": self.reason,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Everything that the page, the command line and the report show."""

    part: ComparedPart
    runs: tuple[ComparedRun, ...]
    reference: str
    differences: tuple[Difference, ...]
    """Each other run less the reference."""
    settings: tuple[SettingDifference, ...]
    notes: tuple[str, ...]
    """What a reader must know before any of the figures."""
    created: str

    @property
    def whose(self) -> str:
        """The evaluated patients, in words."""
        return PARTS[self.part]

    def to_dict(self) -> dict[str, Any]:
        """As ``runs compare --json`` prints it."""
        return {
            "part": self.part,
            "reference": self.reference,
            "runs": [run.to_dict() for run in self.runs],
            "differences": [difference.to_dict() for difference in self.differences],
            "settings": [setting.to_dict() for setting in self.settings],
            "notes": list(self.notes),
            "created": self.created,
        }


def compare_runs(
    runs: Sequence[RunFolder], settings: Settings, part: ComparedPart = "val", reference: str | None = None
) -> Comparison:
    """Compare runs by what they have already shown; no model is run and no test patient is opened.

    Parameters
    ----------
    runs
        Two to :data:`MOST_RUNS` of them.
    settings
        Where evaluations of test patients are counted.
    part
        "val", or "test" for test patients that were evaluated with every one of the runs.
    reference
        Label of the run that the others are compared with; the first by default.

    Raises
    ------
    EvaluationError
        There are too few or too many runs, one stands twice, the reference is none of them, or with "test" a run's
        test patients have not been evaluated.
    RunError
        A run is damaged.
    """
    labels = _labels(runs)
    if part == "test":
        _require_evaluated(runs)
    compared = tuple(_read(run, label, part) for run, label in zip(runs, labels, strict=True))
    chosen = reference or labels[0]
    if chosen not in labels:
        raise EvaluationError(f"The reference {chosen!r} is none of the runs; choose one of: {', '.join(labels)}.")
    base = next(run for run in compared if run.label == chosen)
    others = [run for run in compared if run is not base]
    return Comparison(
        part=part,
        runs=compared,
        reference=chosen,
        differences=tuple(pair_runs(run, base, len(others)) for run in others),
        settings=differing_settings(runs),
        notes=tuple(_notes(compared, part, settings)),
        created=now(),
    )


def _labels(runs: Sequence[RunFolder]) -> list[str]:
    if not 2 <= len(runs) <= MOST_RUNS:
        raise EvaluationError(f"A comparison takes 2 to {MOST_RUNS} runs, not {len(runs)}; name others, or fewer.")
    if len(set(runs)) < len(runs):
        twice = next(run.name for place, run in enumerate(runs) if run in runs[:place])
        raise EvaluationError(f"{twice} is named twice in the comparison; name each run once.")
    names = [run.name for run in runs]
    labels = [f"{run.path.parent.name}/{run.name}" if names.count(run.name) > 1 else run.name for run in runs]
    return [f"{label} ({place})" if labels.count(label) > 1 else label for place, label in enumerate(labels, 1)]


def _require_evaluated(runs: Sequence[RunFolder]) -> None:
    closed = [run.name for run in runs if read_evaluation(run, "test") is None]
    if closed:
        raise EvaluationError(
            f"The test patients have not been evaluated with {', '.join(closed)}, and a comparison evaluates none. Compare "
            f"the validation patients, or evaluate them first, which is counted: python -m core evaluate {closed[0]}."
        )


def _read(run: RunFolder, label: str, part: ComparedPart) -> ComparedRun:
    config, status = run.config, run.status()
    evaluation, reason, warnings, cohort = None, "", [], ""
    if run.checkpoint.exists():
        card = read_card(run.checkpoint)
        cohort = card.cohort_digest
        try:
            evaluation = evaluate_validation(run) if part == "val" else read_evaluation(run, "test")
        except RunError as error:
            reason = str(error)
        if evaluation is not None and evaluation.epoch != card.epoch:
            warnings.append(
                f"evaluated with the weights of epoch {evaluation.epoch}; the best are now of epoch {card.epoch}"
            )
        if card.labels_shuffled:
            warnings.append("trained on shuffled labels: a control")
        if card.synthetic:
            warnings.append("synthetic patients")
    else:
        reason = "no epoch of it has finished yet"
    leaky = config.split.split_unit == "slice"
    if leaky:
        warnings.insert(0, "leaky split: slices of one patient in training and here")
    return ComparedRun(
        run=run,
        label=label,
        status=status,
        preset=config.preset,
        architecture=config.architecture,
        leaky=leaky,
        tags=read_tags(run),
        epochs=tuple(run.epochs()),
        cohort=cohort,
        evaluation=evaluation,
        reason=reason,
        warnings=tuple(warnings),
    )


def _notes(runs: Sequence[ComparedRun], part: ComparedPart, settings: Settings) -> list[str]:
    count = len(runs) - 1
    notes = [
        f"{len(runs)} runs are compared, {count} {'difference' if count == 1 else 'differences'} with the reference."
        + (
            f" By chance alone at least one of {count} intervals of 95% misses 0 with a probability of up to "
            f"{min(0.05 * count, 1):.0%}; the adjusted ones keep all of them together at 95%."
            if count > 1
            else ""
        )
    ]
    if part == "val":
        notes.append(
            "Validation patients chose each run's epoch: the AUROC by patient is corrected for that where the run keeps what "
            "it needs, and no other figure has an interval. The best of several runs is chosen once more, which nothing here "
            "corrects: its AUROC and the differences are better than is true."
        )
    else:
        digests = {run.run.split().test_digest for run in runs}
        times = ", ".join(str(count_evaluations(digest, settings)) for digest in sorted(digests))
        notes.append(
            f"Test patients, evaluated {times} times so far. Choosing between runs by these figures makes them optimistic."
        )
    leaky = [run.label for run in runs if run.leaky]
    if leaky:
        notes.append(
            f"Leaky split: {', '.join(leaky)}. Slices of one patient are in training and among those evaluated; such a "
            "figure does not say how well a new patient is predicted, and cannot be set against an honest one."
        )
    return notes
