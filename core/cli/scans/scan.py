"""What predict and explain share: open a checkpoint and a scan, run inference, describe the input."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from core.cli.output import TerminalProgress, plain
from core.cli.raw import read_raw
from core.data import upload
from core.data.index.series import WERE_SPLIT
from core.data.study import Cohort
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


def study_progress(study_id: str) -> TerminalProgress:
    """Return the progress of one study."""
    return TerminalProgress(f"study {plain(study_id)}")


def headline(prediction: Prediction, predictor: Predictor, *, anyway: bool) -> list[str]:
    """The answer in one line, or why there is none, and a line for each warning; `anyway` shows what the guard refuses."""
    names, positive = predictor.card.class_names, predictor.card.positive_class
    seen = sum(len(part.seen) for part in prediction.series)
    threshold = f" at threshold {prediction.threshold:.3f}" if len(names) == 2 else ""
    study = f"study {plain(prediction.study_id)}"
    if prediction.abstained and not anyway:
        return [
            f"{study}: no answer. {plain(prediction.reason)}",
            *(f"  ! {plain(warning)}" for warning in prediction.warnings if warning not in prediction.reason),
            "  --anyway shows the numbers, for study.",
        ]
    refused = (
        [f"{study}: refused, and shown anyway, for study. {plain(prediction.reason)}"] if prediction.abstained else []
    )
    return [
        *refused,
        f"{study}: probability of {names[positive]} {prediction.probability:.3f}, "
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
