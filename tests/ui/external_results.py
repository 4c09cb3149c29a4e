"""Results over several cohorts, made up: what the page, the figures and the report are tested on."""

from __future__ import annotations

from typing import Any

from core.evaluation.intervals import LogitAuroc
from core.evaluation.meta_analysis import pool_aurocs
from core.experiments.external.judged import describe_pool
from tests.ui.fold_results import figure


def make_external(count: int = 3, *, left_out: bool = False) -> dict[str, Any]:
    """Cohorts of 20 patients; the second has lost two to an overlap. With `left_out`, of leaving one out, with a matrix."""
    cohorts = [_cohort(number) for number in range(count)]
    pooled = pool_aurocs([LogitAuroc(**one["logit"]) for one in cohorts])
    result = {
        "sentence": describe_pool(pooled, count, "cohorts"),
        "cohorts": cohorts,
        **pooled.to_dict(),
        "class_names": ["unmethylated", "methylated"],
        "positive_class": 1,
        "synthetic": True,
    }
    if not left_out:
        return result | {"subject": {"name": "mine", "checkpoint": "/mine", "sha256": "0", "run": "", "epoch": 1}}
    names = [one["name"] for one in cohorts]
    cells = [
        {"trained_on": row, "tested_on": column, "auroc": figure(0.7, 20), "kind": kind}
        for row in ("all others", *names)
        for column in names
        for kind in ("left out" if row == "all others" else "own test patients" if row == column else "other",)
    ]
    return result | {"by": "cohort", "matrix": cells, "only_train": {"tiny": 3}, "left_out": "They share patients."}


def _cohort(number: int) -> dict[str, Any]:
    persons = [{"person": "7", "same_as": "3", "in": "cohort-0", "reasons": ["equal pixels"]}] * 2
    return {
        "name": f"cohort-{number}",
        "data": f"/data/{number}",
        "n": 20,
        "positive": 10,
        "auroc": figure(0.6 + 0.1 * number, 20),
        "brier": figure(0.25, 20, 0.05),
        "observed_expected": figure(1.1, 20, 0.3),
        "intercept": figure(0.2, 20, 0.4),
        "slope": {**figure(None, 20), "reason": "the classes are separated"} if number == 2 else figure(0.8, 20, 0.3),
        "looked_at": 1,
        "notes": ["Left out, because the checkpoint has never seen them: T2w."] if number == 0 else [],
        "overlap": {
            "count": 2 if number == 1 else 0,
            "persons": persons if number == 1 else [],
            "unchecked": ["Against cohort-0: DICOM UIDs could not be compared."] if number == 1 else [],
        },
        "synthetic": True,
        "logit": {"value": 0.6, "logit": 0.4 + 0.4 * number, "variance": 0.2, "fewest": 10},
    }
