"""phantom: a synthetic cohort with a signal of known strength."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.output import Outcome, TerminalProgress
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import Settings


def phantom(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Make the synthetic cohort."""
    given = {name: getattr(arguments, name) for name in PhantomConfig.model_fields}
    config = PhantomConfig.model_validate({name: value for name, value in given.items() if value is not None})
    report = make_phantom(Path(arguments.folder), config, progress=TerminalProgress("drawing"), jobs=arguments.jobs)
    document = {
        "folder": str(report.folder),
        **config.model_dump(),
        "auroc_of_z": report.auroc_of_z,
        "best_auroc": report.best_auroc,
        "synthetic": True,
    }
    lines = [
        f"{report.studies} synthetic studies are in {report.folder}.",
        f"A perfect model reaches a patient AUROC of {report.best_auroc:.3f} in expectation, {report.auroc_of_z:.3f} on these.",
    ]
    return Outcome(document=document, lines=lines)
