"""deidentify: a copy of a cohort that does not tell whose its scans are."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.cohort import read_cohort
from core.cli.output import Outcome, TerminalProgress, fault_lines, plain
from core.deidentify.cohort import deidentify_cohort
from core.settings import Settings


def deidentify(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write the copy and say what is not in it."""
    arguments.session = arguments.session or "all"
    report = deidentify_cohort(
        read_cohort(arguments, settings),
        Path(arguments.out).expanduser(),
        settings,
        mapping=Path(arguments.mapping).expanduser() if arguments.mapping else None,
        jobs=arguments.jobs,
        progress=TerminalProgress("writing"),
    )
    document = report.to_dict()
    resumed = f" ({report.already_there} were there already)" if report.already_there else ""
    lines = [
        f"{report.files} files of {report.studies} studies of {report.persons} persons are in {report.out}{resumed}; "
        f"{report.labels} studies have a label.",
        *(f"  ! {plain(warning)}" for warning in report.warnings),
        f"{len(report.not_copied)} files were not copied" + (":" if report.not_copied else "."),
        *fault_lines(document["not_copied"]),
    ]
    return Outcome(document=document, lines=lines)
