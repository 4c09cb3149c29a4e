"""A cohort as it was judged, and what a mean over cohorts takes of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.evaluation.figure import ALL_EQUAL
from core.evaluation.figures import compute_figures
from core.experiments.external.judged import describe_pool, judge_cohort, pool_cohorts
from core.runs.evaluation import Evaluation


def evaluate(odds: np.ndarray) -> Evaluation:
    """An evaluation of one slice a patient, every second one positive."""
    persons = [f"{number:05d}" for number in range(len(odds))]
    labels = np.arange(len(odds)) % 2
    logits = np.column_stack([-odds / 2, odds / 2])
    frame = pd.DataFrame(
        {"key": persons, "study_id": persons, "person": persons, "sequence": "FLAIR", "slice_index": 0,
         "label": labels, "logit_0": logits[:, 0], "logit_1": logits[:, 1]}
    )  # fmt: skip
    return Evaluation(
        part="test", data="/data", looked_at=1, class_names=("unmethylated", "methylated"), positive_class=1,
        threshold=0.5, temperature=1.0, epoch=1, leaky=False, synthetic=False, created="2026-01-01T00:00:00",
        patient=compute_figures(labels, logits), slice={}, frame=frame,
    )  # fmt: skip


def test_a_cohort_in_which_nobody_is_ranked_is_left_out_of_the_mean() -> None:
    generator = np.random.default_rng(0)
    drawn = [generator.normal(size=40) + np.arange(40) % 2 for _ in range(2)]
    judged = [judge_cohort(f"c{number}", evaluate(odds)) for number, odds in enumerate([*drawn, np.zeros(40)])]
    assert judged[2]["logit"] is None
    assert judged[2]["auroc"]["reason"] == ALL_EQUAL
    assert "over 2 of 3 cohorts" in describe_pool(pool_cohorts(judged), 3, "cohorts")
