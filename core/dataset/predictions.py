"""Predictions as a table: one row per slice with what identifies it and its logits; and who each row's patient is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SLICE_COLUMNS = ("key", "study_id", "person", "sequence", "slice_index", "label")
"""Columns of the slice table that predictions keep, beside one ``logit_<class index>`` each."""


def build_predictions(rows: pd.DataFrame, logits: NDArray[np.float32]) -> pd.DataFrame:
    """Return rows of a slice table with their logits (slices, classes): :data:`SLICE_COLUMNS`, logit_0, logit_1, ..."""
    frame = rows[list(SLICE_COLUMNS)].reset_index(drop=True)
    for index, column in enumerate(logits.T):
        frame[f"logit_{index}"] = column
    return frame


def name_patients(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return the patient of each row of a slice table or of predictions, of shape (rows,).

    Where a patient's studies have different labels (possible in a leaky split only), the study stands for the
    patient: two labels cannot be averaged.
    """
    person = rows["person"].astype(str)
    ambiguous = rows.groupby("person")["label"].transform("nunique") > 1
    return person.where(~ambiguous, rows["study_id"].astype(str)).to_numpy(dtype=np.str_)
