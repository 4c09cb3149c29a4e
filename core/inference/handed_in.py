"""The answers for everything that was handed in, as ``predict --json`` and the HTTP interface give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.data.index.series import WERE_SPLIT
from core.data.study import Cohort, Fault
from core.errors import DataError
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.progress import Progress, silent


def predict_all(
    predictor: Predictor, cohort: Cohort, progress_of: Callable[[str], Progress] = lambda study_id: silent
) -> tuple[list[Prediction], list[dict[str, str]]]:
    """Predict every study; one that cannot be predicted is named with its reason, and the rest are predicted.

    What could not be read, and which series were split, is said in the answer's warnings where there is only one study
    that it can belong to; what reading the slices said already is not said again.

    Raises
    ------
    DataError
        None can be predicted: the first one's reason.
    """
    predictions: list[Prediction] = []
    failures: list[tuple[str, DataError]] = []
    for study in cohort:
        try:
            progress = progress_of(study.study_id)
            predictions.append(predictor.predict(study, synthetic=cohort.synthetic, progress=progress))
        except DataError as error:
            failures.append((study.study_id, error))
    if not predictions and failures:
        raise failures[0][1]
    if len(cohort) == 1:
        splits = [note for note in cohort.notes if note.endswith(WERE_SPLIT)]
        predictions = [
            replace(one, warnings=(*one.warnings, *splits, *_say_faults(cohort.faults, one.warnings)))
            for one in predictions
        ]
    return predictions, [{"study_id": study_id, "reason": str(error)} for study_id, error in failures]


def _say_faults(faults: Sequence[Fault], said: Sequence[str]) -> Iterator[str]:
    for fault in faults:
        if not any(sentence.endswith(f"{Path(fault.path).name}: {fault.reason}") for sentence in said):
            yield f"{fault.path}: {fault.reason}"


def describe_source(predictor: Predictor, cohort: Cohort, failures: list[dict[str, str]]) -> dict[str, Any]:
    """What is not about one study: what was left out, and the checkpoint's card in short."""
    card = predictor.card
    return {
        "failed": failures,
        "unreadable": [{"path": fault.path, "reason": fault.reason} for fault in cohort.faults],
        "notes": list(cohort.notes),
        "series": [
            {
                "study_id": series.study_id,
                "series_uid": series.series_uid,
                "sequence": str(series.sequence),
                "confidence": series.sequence_confidence,
                "reason": series.sequence_reason,
                "plane": str(series.plane),
                "slices": series.slice_total or len(series.files),
            }
            for series in cohort.series
        ],
        "checkpoint": {
            "name": card.name,
            "path": str(predictor.path),
            "architecture": card.config.architecture,
            "class_names": list(card.class_names),
            "positive_class": card.class_names[card.positive_class],
            "sequences": [str(sequence) for sequence in card.sequences],
            "synthetic": card.synthetic,
            "split_unit": card.split_unit,
            "reproduction": card.reproduction,
            "weights_origin": card.weights_origin,
            "epoch": card.epoch,
            "runtime": predictor.engine.runtime,
            "members": list(card.members),
            "threshold": card.threshold,
            "temperature": card.temperature,
            "metrics": card.metrics,
        },
    }
