"""Predictions as a table: one row per slice with what identifies it and its logits; who each row's patient is; and how one is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SLICE_COLUMNS = ("key", "study_id", "person", "sequence", "slice_index", "label")
"""Columns of the slice table that predictions keep, beside one ``logit_<class index>`` each."""
TEXTS = ("key", "study_id", "person", "sequence")
NUMBERS = ("slice_index", "label")
MOST_ROWS = 5_000_000
"""Slices; the competition's cohort has 350,000."""
LONGEST_TEXT = 512
ROWS_AT_ONCE = 65_536


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


def check_predictions(path: Path, class_count: int | None = None) -> pd.DataFrame:
    """Return a table of predictions with as many logits as there are classes, or with any number of them.

    A small parquet can inflate without bound, by many rows or by one long text that every row repeats: the rows are
    counted before, and the texts are checked in the dictionary that holds each of them once.

    Raises
    ------
    ValueError
        It is no parquet, too large, or not such a table; OSError where it is missing.
    """
    try:
        with pq.ParquetFile(path, read_dictionary=list(TEXTS)) as table:
            if table.metadata.num_rows > MOST_ROWS:
                raise ValueError(f"it has more than {MOST_ROWS:,} rows")
            names = table.schema_arrow.names
            classes = class_count or sum(name.startswith("logit_") for name in names)
            logits = [f"logit_{index}" for index in range(classes)]
            if sorted(names) != sorted([*SLICE_COLUMNS, *logits]):
                raise ValueError(f"its columns are {', '.join(names)[:200]}, not those of {classes} classes")
            _check_types(table.schema_arrow, logits)
            for batch in table.iter_batches(ROWS_AT_ONCE, columns=list(TEXTS)):
                for column in batch.columns:
                    _check_texts(column.dictionary)
        frame = pd.read_parquet(path, columns=[*SLICE_COLUMNS, *logits])
    except (pa.ArrowException, KeyError, TypeError, AttributeError) as error:  # of damaged metadata, too
        raise ValueError(f"it is no parquet that can be read ({error})") from error
    except MemoryError as error:
        raise ValueError("it is too large") from error
    if frame.empty or frame.isna().to_numpy().any():
        raise ValueError("it has no rows, or cells without a value")
    if not np.isfinite(frame[logits].to_numpy(dtype=np.float64)).all():
        raise ValueError("a logit is not finite")
    if not frame["label"].between(0, classes - 1).all():
        raise ValueError(f"a label is not one of {classes} classes")
    return frame


def _check_types(schema: pa.Schema, logits: list[str]) -> None:
    for name in TEXTS:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise ValueError(f"{name} is {kind}, not text")
    for name in NUMBERS:
        if not pa.types.is_integer(schema.field(name).type):
            raise ValueError(f"{name} is {schema.field(name).type}, not a whole number")
    for name in logits:
        if not pa.types.is_floating(schema.field(name).type):
            raise ValueError(f"{name} is {schema.field(name).type}, not a number")


def _check_texts(words: pa.Array) -> None:
    if any(len(word) > LONGEST_TEXT for word in words.to_pylist() if word is not None):
        raise ValueError(f"a text in it has more than {LONGEST_TEXT} characters")
