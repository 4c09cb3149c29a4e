"""baselines: what covariates and headers predict by themselves, before a network is worth anything."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from core.cli.cohort import read_cohort
from core.cli.output import Outcome, TerminalProgress, plain, table
from core.cli.tables.referee import read_table
from core.data.cohort import Cohort
from core.errors import ConfigError, EvaluationError
from core.experiments.controls.shortcuts import describe_headers
from core.experiments.referee.baselines import FOLDS, HOW, Baseline, evaluate_baselines, list_sets
from core.experiments.referee.radiomics import measure_radiomics
from core.figure_text import figure_text, number_text
from core.mri import MRSequence
from core.settings import Settings


def baselines(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Cross-validate covariates alone: of a table, or of a cohort with its headers."""
    path = Path(arguments.data).expanduser()
    headers: list[str] = []
    notes: list[str] = []
    if path.is_file():
        read = read_table(path, arguments)
        patients = read.rows[read.rows["label"].notna()].drop_duplicates("id").reset_index(drop=True)
        covariates, notes = read.grouping, list(read.notes)
    else:
        cohort = read_cohort(arguments, settings)
        patients, covariates, headers = tabulate_cohort(cohort)
    radiomics: dict[str, list[str]] = {}
    if arguments.radiomics:
        if path.is_file():
            raise ConfigError("Radiomics are measured in a cohort's images; DATA is a table. Name the cohort's folder.")
        sequence = MRSequence(arguments.radiomics)
        features, notes = measure_radiomics(cohort, sequence, settings, TerminalProgress("measuring"))
        patients = patients.join(features, on="id")
        radiomics = {f"radiomics, {sequence}": list(map(str, features))}
    if not covariates and not headers and not radiomics:
        raise EvaluationError(f"{path.name} has no covariate; expected columns such as age, sex, site or scanner.")
    sets = list_sets(covariates, headers) | radiomics
    found = evaluate_baselines(patients.drop(columns="score", errors="ignore"), sets, repeats=arguments.repeats)
    document = {
        "data": path.name, "n": len(patients), "positive": int(patients["label"].sum()), "how": HOW, "folds": FOLDS,
        "seeds": list(range(arguments.repeats)), "baselines": [one.to_dict() for one in found], "notes": notes,
    }  # fmt: skip
    lines = [*notes, *table([_row(one) for one in found], ("baseline", "columns", "AUROC (95% interval)", "log loss"))]
    lines.append(f"{FOLDS} folds, seeds 0 to {arguments.repeats - 1}; {HOW}")
    return Outcome(document=document, lines=[plain(line) for line in lines])


def tabulate_cohort(cohort: Cohort) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return a cohort's labelled persons, a row each with their covariates and headers, and the names of both.

    What is the same in all is left out.
    """
    studies = {study.person: study for study in sorted(cohort.labelled, key=lambda one: one.study_id)}
    rows = pd.DataFrame({"id": list(studies)})
    rows["label"] = [int(study.label == cohort.positive_class) for study in studies.values()]
    names: dict[str, list[str]] = {}
    for kind, found in (
        ("covariates", [study.covariates for study in studies.values()]),
        (
            "headers",
            [
                {f"header {name}": value for name, value in describe_headers(study).items()}
                for study in studies.values()
            ],
        ),
    ):
        columns = pd.DataFrame(found, index=rows.index)
        words = [str(name) for name in columns if not pd.api.types.is_float_dtype(columns[name])]
        columns[words] = columns[words].fillna("").astype(str)
        kept = [str(name) for name in columns if columns[name].nunique() > 1]
        names[kind] = kept
        rows = rows.join(columns[kept])
    return rows, names["covariates"], names["headers"]


def _row(one: Baseline) -> tuple[str, ...]:
    columns = ", ".join(one.columns) if len(one.columns) <= 6 else f"{len(one.columns)} columns"
    return one.name, columns, figure_text(one.auroc), number_text(one.log_loss)
