"""The claim sheet as one HTML page, to print or to save: no script, nothing fetched from anywhere."""

from __future__ import annotations

from core.evaluation.figures import FIGURE_TITLES
from core.experiments.claim_sheet import ClaimSheet
from core.figure_text import value_text
from core.reports.page import render_page

SHOWN = (
    "auroc", "auprc", "balanced_accuracy", "accuracy", "majority_accuracy", "sensitivity", "specificity", "brier",
    "log_loss", "ece",
)  # fmt: skip


def write_claim_page(sheet: ClaimSheet) -> str:
    """Return the page; every text from elsewhere is escaped."""
    areas = [(whose, found["auroc"]) for whose, found in sheet.figures.items() if found["auroc"].value is not None]
    figures = [
        (
            whose,
            [
                (FIGURE_TITLES[name], value_text(found[name]), found[name].n, found[name].method)
                for name in SHOWN
                if name in found
            ],
        )
        for whose, found in sheet.figures.items()
    ]
    controls = [
        (control.title, control.asks, control.result or "not done", control.otherwise) for control in sheet.controls
    ]
    return render_page("claim.html", sheet=sheet, areas=areas, figures=figures, controls=controls)
