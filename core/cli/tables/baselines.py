"""baselines: what covariates predict by themselves, before a network is worth anything."""

from __future__ import annotations

import argparse

from core.cli.output import Outcome, plain, table
from core.cli.tables.referee import read_table
from core.errors import EvaluationError
from core.experiments.referee.baselines import FOLDS, HOW, Baseline, evaluate_baselines, list_sets
from core.figure_text import figure_text, number_text
from core.settings import Settings


def baselines(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Cross-validate covariates alone."""
    read = read_table(arguments)
    patients = read.rows[read.rows["label"].notna()].drop_duplicates("id").reset_index(drop=True)
    covariates = [*read.covariates, *(["site"] if read.has("site") else [])]
    if not covariates:
        raise EvaluationError(f"{read.name} has no covariate; expected columns such as age, sex, site or scanner.")
    found = evaluate_baselines(
        patients.drop(columns="score", errors="ignore"), list_sets(covariates), repeats=arguments.repeats
    )
    document = {
        "file": read.name, "n": len(patients), "positive": int(patients["label"].sum()), "how": HOW, "folds": FOLDS,
        "seeds": list(range(arguments.repeats)), "baselines": [one.to_dict() for one in found], "notes": list(read.notes),
    }  # fmt: skip
    lines = [
        *read.notes,
        *table([_row(one) for one in found], ("baseline", "columns", "AUROC (95% interval)", "log loss")),
    ]
    lines.append(f"{FOLDS} folds, seeds 0 to {arguments.repeats - 1}; {HOW}")
    return Outcome(document=document, lines=[plain(line) for line in lines])


def _row(one: Baseline) -> tuple[str, ...]:
    return one.name, ", ".join(one.columns), figure_text(one.auroc), number_text(one.log_loss)
