"""Which cohort a control is about."""

from __future__ import annotations

from core.data.study import Cohort
from ui.cohort.choose import ask_cohort, show_cohort_line
from ui.widgets.loaders import load_chosen_cohort


def ask_data() -> Cohort | None:
    """The current cohort with its line; where there is none, a way to choose one."""
    cohort = load_chosen_cohort()
    if cohort is None:
        ask_cohort()
    else:
        show_cohort_line(cohort)
    return cohort
