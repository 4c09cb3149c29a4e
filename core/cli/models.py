"""models: the presets' networks side by side."""

from __future__ import annotations

import argparse

from core.cli.output import Outcome, table
from core.models.zoo import list_zoo
from core.settings import Settings


def show_models(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """List the zoo."""
    rows = list_zoo()
    cells = [
        (
            row.preset,
            row.after,
            row.network,
            " x ".join(str(side) for side in row.input_shape),
            f"{row.parameters / 1e6:.1f}",
            f"{row.multiply_adds / 1e9:.2f}",
            "-" if row.paper_multiply_adds is None else f"{row.paper_multiply_adds:g}",
            row.pretrained or "none",
        )
        for row in rows
    ]
    header = (
        "preset",
        "after",
        "network",
        "input",
        "parameters (10^6)",
        "multiply-adds (10^9)",
        "paper's Figure 2",
        "weights",
    )
    notes = {row.note: [other.network for other in rows if other.note == row.note] for row in rows if row.note}
    return Outcome(
        document={"models": [row.to_dict() for row in rows]},
        lines=[*table(cells, header), *(f"{', '.join(names)}: {note}." for note, names in notes.items())],
    )
