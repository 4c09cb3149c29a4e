"""Calibrate a shipped checkpoint on patients used for nothing else, judge it on others, and fit its guard.

    python checkpoints/calibrate.py CHECKPOINT CALIBRATION OTHERS REFERENCES

The folders are synthetic cohorts of which the checkpoint has seen nobody: temperature, threshold and sets of classes are fitted on
CALIBRATION, the card's figures are of OTHERS, and the guard holds a scan against REFERENCES, by limits set on CALIBRATION.
make_demo.sh calls it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from core.data.cohort import scan_cohort
from core.dataset.table import build_table
from core.files import write_atomic
from core.inference.guard import measure_studies
from core.inference.guard_fit import fit_limits
from core.models.card import read_card, replace_card
from core.models.card_text import describe_card
from core.runs.epoch_figures import FRESH, fit_calibration
from core.settings import load_settings
from core.training.evaluate import evaluate_cohort

RATE = 0.01
"""Share of patients like these that the guard may refuse."""


def main(checkpoint: Path, *folders: Path) -> None:
    """Replace the card, and the page of words beside it."""
    settings = load_settings()
    calibration, others, references = (scan_cohort(folder) for folder in folders)
    card = read_card(checkpoint)
    fresh = evaluate_cohort(checkpoint, calibration, settings)
    changes = fit_calibration(card, fresh.patient_labels, fresh.patient_logits, FRESH)
    tables = (build_table(cohort, card.config.prep, settings) for cohort in (references, calibration))
    measured = [list(measure_studies(table, np.arange(len(table.rows))).values()) for table in tables]
    changes["guard"] = fit_limits(*measured, RATE)
    replace_card(checkpoint, lambda stored: stored.model_copy(update=changes))
    found = evaluate_cohort(checkpoint, others, settings)
    figures = {name: value for name, value in found.to_dict().items() if name != "data"}  # no path of this computer
    card = replace_card(
        checkpoint, lambda stored: stored.model_copy(update={"metrics": stored.metrics | {"data": figures}})
    )
    write_atomic(checkpoint.with_suffix(".md"), describe_card(card))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
