"""A hold-out inside the patients that training may use, so that no question spends the real test patients."""

from __future__ import annotations

from dataclasses import replace

from core.config import SplitConfig
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split, make_split


def split_inside(table: SliceTable, config: SplitConfig, cohort_digest: str, seed: int) -> Split:
    """Split the patients outside the test part once more, by patient, into training, validation and an inner test.

    The run's own test patients stand in no part: they are not trained on, not chosen on and not evaluated.

    Parameters
    ----------
    table
        The prepared cohort.
    config
        The split whose test patients are left alone; its fractions are used within the rest. A split by slice is
        taken as one by patient.
    cohort_digest
        ``Cohort.digest``.
    seed
        Of the inner split.

    Raises
    ------
    SplitError
        Too few patients are left for three parts that each hold both classes.
    """
    by_patient = config.model_copy(update={"split_unit": "patient"})
    held_out = set(make_split(table, by_patient, cohort_digest).test)
    rest = table.rows[~table.rows["person"].isin(held_out)].assign(phase="").reset_index(drop=True)
    share = config.test_fraction or config.val_fraction
    inner = by_patient.model_copy(update={"split_seed": seed, "test_fraction": share})
    return make_split(replace(table, rows=rest), inner, cohort_digest)
