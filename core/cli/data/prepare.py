"""prepare: fill the cache of prepared images."""

from __future__ import annotations

import argparse

from core.cli.config_options import add_config, read_config
from core.cli.options import add_backend, add_data, on_backend, read_cohort
from core.cli.output import Outcome, TerminalProgress, fault_lines
from core.cli.parser import Parser, set_command
from core.dataset.table import build_table
from core.settings import Settings


def define_prepare(parser: Parser) -> None:
    """Add what ``prepare`` takes."""
    set_command(parser, on_backend(prepare))
    add_data(parser)
    add_backend(parser)
    add_config(parser, preset="honest")


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
