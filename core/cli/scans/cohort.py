"""predict --csv: a whole cohort in one table.

``python -m core.cli.scans.cohort FOLDER`` answers the question of an experiment's folder: it is what the Predict page starts.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path

from core.cli.output import Outcome, TerminalProgress, answer_folder, note, plain
from core.cli.parser import UsageError
from core.cli.scans.scan import checkpoint_line
from core.data.study import Cohort
from core.errors import DataError
from core.inference.batch import BatchResult, predict_cohort
from core.inference.ensemble import open_predictor
from core.inference.handed_in import describe_source
from core.jobs.experiment import PREDICTIONS_ENTRY, Experiment
from core.jobs.predictions import answer_predictions, cohort_source
from core.models.catalogue import find_checkpoint
from core.runs.cohort import open_cohort
from core.runs.lock import hold_lock
from core.settings import Settings, load_settings


def predict_folder(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Predict every study of a folder into a table, or resume it."""
    if arguments.origin:
        raise UsageError("Process the cohort first, which can be resumed: prepare DATA --from raw --out FOLDER.")
    if len(arguments.scans) != 1 or not Path(arguments.scans[0]).expanduser().is_dir():
        raise DataError("--csv predicts the studies of one folder; name that folder alone.")
    predictor = open_predictor(
        find_checkpoint(arguments.checkpoint, settings), runtime=arguments.runtime, threads=settings.threads
    )
    table = Path(arguments.csv).expanduser()
    with _hold_table(table, settings):
        source = cohort_source(arguments.scans[0], arguments.sequence, tuple(arguments.assign or ()))
        cohort = open_cohort(source, TerminalProgress("reading headers"), settings)
        result = predict_cohort(
            predictor,
            cohort,
            table,
            anyway=arguments.anyway,
            begin_anew=arguments.replace,
            progress=TerminalProgress("predicting"),
        )
    document = {
        "csv": str(table),
        "studies": result.to_dicts(),
        "taken_over": result.kept,
        **{key: value for key, value in describe_source(predictor, cohort, []).items() if key != "series"},
        "failed": [{"study_id": row["study_id"], "reason": row["error"]} for row in result.rows if row["error"]],
    }
    return Outcome(document=document, lines=[*_describe(table, result, cohort), checkpoint_line(predictor)])


def _hold_table(table: Path, settings: Settings) -> AbstractContextManager[None]:
    """Keep a second process of this installation from writing the same table."""
    folder = settings.cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = sha256(str(table.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
    return hold_lock(folder / name, f"Another process is writing {table}; wait for it, or name another file.")


def _describe(table: Path, result: BatchResult, cohort: Cohort) -> list[str]:
    answered = len(result.rows) - result.failed - result.abstained
    over = f" ({result.kept} taken over)" if result.kept else ""
    lines = [
        *cohort.notes,
        f"{len(result.rows)} studies{over}: {answered} answered, {result.abstained} abstained, {result.failed} could not be "
        "predicted. Research use only.",
        *(f"  ! study {row['study_id']}: {row['error']}" for row in result.rows if row["error"]),
        f"Written: {table}",
    ]
    return [plain(line) for line in lines]


def answer(folder: Path) -> None:
    """Answer the question of a folder, with lines of progress on standard error."""
    result = answer_predictions(Experiment(folder), load_settings(), TerminalProgress("predicting"))
    note("Interrupted." if result.stopped else f"{len(result.rows)} studies.")


def main(arguments: list[str]) -> int:
    """Answer the question of a folder; the exit status is a command's."""
    return answer_folder(arguments, PREDICTIONS_ENTRY, answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
