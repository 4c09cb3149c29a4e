"""What predict and explain share: open a checkpoint and a scan, run inference, describe the input."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.cli.output import TerminalProgress, plain
from core.cli.raw import read_raw
from core.data import upload
from core.data.index.series import WERE_SPLIT
from core.data.study import Cohort, Fault
from core.errors import DataError
from core.figure_text import figure_text
from core.inference.ensemble import open_predictor
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.models.catalogue import find_checkpoint
from core.mri import MRSequence
from core.settings import Settings


@contextmanager
def open_scan(arguments: argparse.Namespace, settings: Settings) -> Iterator[tuple[Predictor, Cohort]]:
    """Load the checkpoint and index the scan; unpacked files are deleted at the end."""
    path = find_checkpoint(arguments.checkpoint, settings)
    with TemporaryDirectory(prefix="mgmt-lab-") as workspace:
        cohort = upload.open_scan(
            [Path(scan) for scan in arguments.scans],
            Path(workspace) / "unpacked",
            settings,
            sequence=MRSequence(arguments.sequence) if arguments.sequence else None,
            sequence_overrides=dict(arguments.assign or ()),
        )
        raw = read_raw(arguments)
        if raw is not None:
            from core.data.raw.cohort import process_scan

            progress = TerminalProgress("processing from raw")
            cohort = process_scan(cohort, raw, Path(workspace) / "processed", settings, progress)
        yield open_predictor(path, runtime=arguments.runtime, threads=settings.threads), cohort


def predict_all(predictor: Predictor, cohort: Cohort) -> tuple[list[Prediction], list[dict[str, str]]]:
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
        progress = TerminalProgress(f"study {plain(study.study_id)}")
        try:
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


def headline(prediction: Prediction, predictor: Predictor) -> list[str]:
    """The answer in one line, and a line for each warning."""
    names, positive = predictor.card.class_names, predictor.card.positive_class
    seen = sum(len(part.seen) for part in prediction.series)
    threshold = f" at threshold {prediction.threshold:.3f}" if len(names) == 2 else ""
    return [
        f"study {plain(prediction.study_id)}: probability of {names[positive]} {prediction.probability:.3f}, "
        f"that is {prediction.prediction}{threshold}, from {seen} slices. Research use only.",
        *(
            [f"  its {len(prediction.members)} members: {', '.join(f'{one:.3f}' for one in prediction.members)}"]
            if prediction.members
            else []
        ),
        *(f"  ! {plain(warning)}" for warning in prediction.warnings),
    ]


def source_lines(cohort: Cohort, failures: list[dict[str, str]]) -> list[str]:
    """What was decided about the scan, and a line for each study that could not be predicted and each odd file."""
    lines = [
        *(note for note in cohort.notes if len(cohort) > 1 or not note.endswith(WERE_SPLIT)),
        *(f"study {failure['study_id']} not predicted: {failure['reason']}" for failure in failures),
    ]
    if len(cohort) > 1:
        lines += [f"left out: {fault.path}: {fault.reason}" for fault in cohort.faults]
    return [plain(line) for line in lines]


def checkpoint_line(predictor: Predictor) -> str:
    """The checkpoint, and how well it does by itself."""
    card = predictor.card
    found = card.reported_auroc()
    stated = f"its own patient AUROC {figure_text(found[1])} on {found[0]}" if found else "no figures stated"
    return f"checkpoint {plain(card.name)}: {card.config.architecture}, {stated}, split by {card.split_unit}."
