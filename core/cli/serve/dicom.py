"""serve dicom: answer the studies of a DICOMweb server, or those that are sent by C-STORE."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path

from core.cli.output import Outcome, note
from core.errors import ServerError
from core.files import storage_errors
from core.inference.ensemble import open_predictor
from core.models.catalogue import find_checkpoint
from core.reports.dicom.source import require_dicom
from core.runs.lock import hold_lock
from core.serve.rounds import RoundResult, Rounds
from core.serve.rules import read_rules
from core.settings import Settings

LONGEST_SECONDS = 900.0
"""Between two rounds while nothing works."""


def serve_dicom(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Make one round, or one after the other until it is interrupted."""
    require_dicom()
    rules = read_rules(Path(arguments.rules).expanduser())
    folder = Path(arguments.state).expanduser()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / "lock", f"Another process works on {folder}; wait for it, or name another folder."):
        rounds = Rounds(
            rules,
            folder,
            settings,
            lambda name: open_predictor(find_checkpoint(name, settings), threads=settings.threads),
        )
        if arguments.once:
            result = _run_settled(rounds, rules.settle_seconds)
            return Outcome(document=asdict(result), lines=[_describe(result)])
        failures = 0
        with rounds.receiving():
            while True:
                try:
                    result = rounds.run_once()
                    failures = failures + 1 if result.waiting and not result.pushed else 0
                    note(_describe(result))
                except ServerError as error:
                    failures += 1
                    note(str(error))
                time.sleep(max(rules.poll_seconds, min(LONGEST_SECONDS, rules.poll_seconds * 2 ** min(failures, 10))))


def _run_settled(rounds: Rounds, settle_seconds: float) -> RoundResult:
    """One round, and where studies may still grow a second one when they have had their time."""
    first = rounds.run_once()
    if not first.arriving:
        return first
    time.sleep(settle_seconds)
    second = rounds.run_once()
    return replace(
        second,
        pushed=first.pushed + second.pushed,
        refused=first.refused + second.refused,
        done_before=max(0, second.done_before - first.pushed - first.refused),
    )


def _describe(result: RoundResult) -> str:
    counts = [f"{count} {name.replace('_', ' ')}" for name, count in asdict(result).items() if count]
    return f"Studies: {', '.join(counts) or 'none'}."
