"""The label table: which study is methylated."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from core.errors import LabelError

ID_COLUMN = "BraTS21ID"
LABEL_COLUMN = "MGMT_value"
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
LARGEST_TABLE = 16 * 1024 * 1024


def normalise_id(text: str) -> str:
    """Return a study id as it is written everywhere: a number is padded with zeros to five digits."""
    text = text.strip()
    return text.zfill(5) if text.isascii() and text.isdigit() else text


def read_labels(path: Path) -> dict[str, int]:
    """Read a label table: study id to 0 (unmethylated) or 1 (methylated).

    The table is CSV with the columns BraTS21ID and MGMT_value, as the RSNA-MICCAI competition's
    ``train_labels.csv``; further columns are ignored. Ids that lost their leading zeros are padded again.

    Raises
    ------
    LabelError
        The file is missing, not a CSV, empty or without one of the columns; or a row (which is named) has a bad
        id, a label that is neither 0 nor 1, or contradicts another.
    """
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        missing = [column for column in (ID_COLUMN, LABEL_COLUMN) if column.lower() not in names]
        if missing:
            raise LabelError(
                f"{path.name} has no column {' and no column '.join(missing)}; "
                f"expected {ID_COLUMN},{LABEL_COLUMN}, found {', '.join(map(repr, reader.fieldnames or ())) or 'nothing'}."
            )
        id_column, label_column = names[ID_COLUMN.lower()], names[LABEL_COLUMN.lower()]
        labels: dict[str, int] = {}
        for row in reader:
            study_id, label = _read_row(row[id_column], row[label_column], f"{path.name}, line {reader.line_num}")
            if labels.setdefault(study_id, label) != label:
                raise LabelError(
                    f"{path.name}, line {reader.line_num}: study {study_id} is {label} here and "
                    f"{labels[study_id]} further up; keep one of the two rows."
                )
    except csv.Error as error:
        raise LabelError(f"{path.name}, line {reader.line_num}, is not CSV: {error}.") from error
    if not labels:
        raise LabelError(f"{path.name} holds no row below its header; expected one study and label a row.")
    return labels


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise LabelError(f"{path.name} is larger than {LARGEST_TABLE:,} bytes; that is not a label table.")
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"The label table {path} cannot be read: {error.strerror}.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise LabelError(f"{path.name} is not text; expected CSV (UTF-8) with {ID_COLUMN},{LABEL_COLUMN}.")
    return text


def _read_row(study: str | None, label: str | None, where: str) -> tuple[str, int]:
    study_id = normalise_id(study or "")
    if not ID_PATTERN.fullmatch(study_id):
        raise LabelError(
            f"{where}: {study!r} is not a study id; expected digits, or letters, digits, '_', '-' and '.'."
        )
    value = LABELS.get((label or "").strip())
    if value is None:
        raise LabelError(f"{where}: study {study_id} has {LABEL_COLUMN} {label!r}; expected 0 or 1.")
    return study_id, value
