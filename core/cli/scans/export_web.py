"""export web: a checkpoint as a folder of static files that predicts in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.output import Outcome, plain, table
from core.models.catalogue import find_checkpoint
from core.reports.web_page import describe_excess, export_web
from core.settings import Settings

MEGABYTE = 1_000_000


def export(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write the folder."""
    path = find_checkpoint(arguments.checkpoint, settings)
    folder = Path(arguments.out).expanduser()
    sizes = export_web(path, folder, replace=arguments.replace)
    largest = sorted(sizes.items(), key=lambda entry: -entry[1])[:6]
    rows = [(name, f"{size / MEGABYTE:.1f}") for name, size in largest]
    total, excess = sum(sizes.values()), describe_excess(sizes)
    lines = [
        *table(rows, ("largest files", "MB")),
        f"Written to {plain(folder)}: {len(sizes)} files, {total / MEGABYTE:.1f} MB. "
        f"Serve it with any static server: python -m http.server --directory {plain(folder)}",
        *([excess] if excess else []),
    ]
    return Outcome(document={"folder": str(folder), "files": sizes, "bytes": total, "excess": excess}, lines=lines)
