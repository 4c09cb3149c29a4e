"""Whether a cohort is large enough for a twin run to show what it is there to show."""

from __future__ import annotations

from collections import Counter
from statistics import median

from core.data.study import Cohort

FEWEST_PER_CLASS = 10
"""Patients of each class: of a fifth of them, two of each are then evaluated, the fewest that have an interval."""
FEWEST_SLICES = 12
"""Of a typical series: a quarter is evaluated, and the rest, its siblings, must lie close beside it."""


def find_obstacle(cohort: Cohort) -> str:
    """Return why a twin run on a cohort would not show what siblings are worth; empty where it may.

    The two limits are rules of thumb. Below them a twin run can be trained, but its difference is noise, or it cannot be split.
    """
    counts = Counter(label for _, label in {(study.person, study.label) for study in cohort if study.label is not None})
    fewest = min((counts[index] for index in range(len(cohort.class_names))), default=0)
    if fewest < FEWEST_PER_CLASS:
        return (
            f"This cohort has {fewest} patients of its rarer class; with fewer than {FEWEST_PER_CLASS} the difference between "
            "the two arms cannot be told from chance (a rule of thumb)."
        )
    slices = median([series.slice_total or len(series.files) for series in cohort.series] or [0])
    if slices < FEWEST_SLICES:
        return (
            f"A typical series of this cohort has {slices:.0f} slices; with fewer than {FEWEST_SLICES} an evaluated slice has "
            "hardly a sibling that looks like it (a rule of thumb)."
        )
    return ""
