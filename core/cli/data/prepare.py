"""prepare: fill the cache of prepared images."""

from __future__ import annotations

import argparse

from core.cli.cohort import on_backend, read_cohort
from core.cli.config import read_config
from core.cli.output import Outcome, TerminalProgress, fault_lines
from core.dataset.table import build_table
from core.settings import Settings


@on_backend
def prepare(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Prepare every series through the cache."""
    config = read_config(arguments)
    cohort = read_cohort(arguments, settings)
    images = build_table(cohort, config.prep, settings, jobs=arguments.jobs, progress=TerminalProgress("preparing"))
    faults = [{"path": fault.path, "reason": fault.reason} for fault in (*cohort.faults, *images.faults)]
    document = {
        "studies": len(cohort),
        "series": len(images.arrays),
        "pictures": len(images),
        "blank_slices": sum(images.blank_counts),
        "prep": config.prep.model_dump(mode="json"),
        "cache": str(settings.cache),
        "unreadable": faults,
    }
    lines = [
        f"{len(images)} images of {config.prep.size_px} x {config.prep.size_px} px from {len(images.arrays)} series "
        f"of {len(cohort)} studies are in {settings.cache}; {document['blank_slices']} blank slices were left out.",
        *fault_lines(faults),
    ]
    return Outcome(document=document, lines=lines)
