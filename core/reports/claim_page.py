"""The claim sheet as one HTML page, to print or to save: no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.evaluation.figure import Figure, estimand_of
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
    areas = [
        {"name": f"{whose}, n = {found['auroc'].n}", "kind": "cohort", **found["auroc"].to_dict()}
        for whose, found in sheet.figures.items()
        if found["auroc"].value is not None
    ]
    figures = {whose: _rows(found) for whose, found in sheet.figures.items()}
    controls = [
        (control.title, control.asks, control.result or "not done", control.otherwise) for control in sheet.controls
    ]
    characteristics = [
        [row["covariate"], *(row.get(part, "") for part in ("train", "val", "test"))] for row in sheet.parts
    ]
    return render_page(
        "claim.html",
        estimand_of("claim"),
        sheet=sheet,
        areas=areas,
        figures=figures,
        controls=controls,
        characteristics=characteristics,
    )


def _rows(figures: Mapping[str, Figure]) -> list[tuple[str, str, int, str]]:
    """Title, value with interval, n, and how the interval was made or why there is none."""
    shown = [(FIGURE_TITLES[name], figures[name]) for name in SHOWN if name in figures]
    return [
        (title, value_text(replace(figure, reason="")), figure.n, figure.method or figure.reason)
        for title, figure in shown
    ]
