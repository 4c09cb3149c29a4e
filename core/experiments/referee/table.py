"""A table of predictions, from any framework, as columns of known names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logit

from core.data.clinical.covariates import COVARIATES, SEXES
from core.data.clinical.label_words import is_not_known, read_number
from core.data.clinical.labels import ID_COLUMNS, LABEL_COLUMNS, LabelReader, Target, normalise_column
from core.data.clinical.spreadsheet import Sheet, read_sheets
from core.errors import LabelError
from core.evaluation.metrics import Floats

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": (*ID_COLUMNS, "person", "case_number", "image_id", "filename"),
    "label": ("label", "y_true", "true_label", "target", "truth", "ground_truth", "outcome", "y", *LABEL_COLUMNS),
    "probability": (
        *("probability", "prob", "proba", "y_prob", "y_proba", "p", "predicted_probability", "probability_a"),
        *("pred_prob", "prob_1", "prediction", "pred", "y_pred", "score", "logit", "y_score", "decision", "output"),
    ),
    "probability_b": ("probability_b", "prob_b", "proba_b", "score_b", "prediction_b", "model_b"),
    "fold": ("fold", "cv_fold", "outer_fold", "fold_id"),
    "site": ("site", "center", "centre", "hospital", "institution"),
    "part": ("part", "split", "set", "subset", "partition", "phase"),
    "abstained": ("abstained",),
}
"""Names of the columns, the likelier first, as :func:`core.data.clinical.labels.normalise_column` writes them."""
REQUIRED = ("id", "label")
SCORES = frozenset({"score", "logit", "y_score", "decision", "output", "score_b"})
"""Names of columns that hold no probabilities, whatever their range."""
OTHER_ANSWERS = re.compile(
    r"(?:y_?)?(?:p|prob|proba|probability|pred|prediction|score|logit)_?(?:\d+|class)|index|unnamed_?\d*|"
)
"""Names of further columns of a model's answers, and of a row's number: no covariates."""
PARTS = {
    **dict.fromkeys(("train", "training", "trn", "tr", "development", "fit", "fitting", "discovery"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "tune", "tuning"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "hold_out", "eval", "evaluation"), "test"),
}
MOST_LEVELS = 20
LARGEST_ODDS = 1e-12
"""Probability from 0 and 1 beyond which log odds are cut."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Every row of a table, and what was said of its columns."""

    name: str
    rows: pd.DataFrame
    """``id``, ``label`` (1, 0, or missing), ``score`` and ``score_b`` (log odds, or scores as they are; missing where the cell
    is empty), ``fold``, ``site``, ``part``, ``line``, and the covariates under their own names."""
    covariates: tuple[str, ...]
    is_probability: bool
    """Whether ``score`` is the log odds of a probability."""
    out_of_range: bool
    """Whether a column of probabilities holds numbers outside 0 to 1."""
    class_names: tuple[str, str]
    notes: tuple[str, ...]

    def has(self, column: str) -> bool:
        """Whether the table has that column."""
        return column in self.rows

    @property
    def grouping(self) -> list[str]:
        """What patients are grouped and predicted by: the covariates, and the site."""
        return [*self.covariates, *(["site"] if self.has("site") and "site" not in self.covariates else [])]


def read_predictions(path: Path, target: Target | None = None, *, site_from_id: bool = False) -> Predictions:
    """Read a table of predictions, or of labels and covariates alone.

    Parameters
    ----------
    path
        CSV (commas, semicolons or tabs; decimal points or commas) or xlsx. Columns of :data:`COLUMNS`; every other one is a
        covariate, unless it holds free text.
    target
        The label's column and its positive value, where it is not called and written as usual.
    site_from_id
        The letters that the ids begin with are the site, where there is no column of it.

    Raises
    ------
    LabelError
        There is no column of ids or labels, or a cell (whose line is named) cannot be read.
    """
    target = target or Target()
    sheet, at = _choose_sheet(read_sheets(path), target)
    if not sheet.rows:
        raise LabelError(f"{sheet.name} holds no row below its header; expected one prediction a row.")
    cells = {name: [row[place] for _, row in sheet.rows] for name, place in at.items()}
    # A column of folds, sites or parts without an entry says nothing.
    cells = {name: column for name, column in cells.items() if name not in ("fold", "site", "part") or any(column)}
    lines = [line for line, _ in sheet.rows]
    signs = {float(number) if (number := read_number(cell)) is not None else cell for cell in {*cells["label"]} if cell}
    if signs == {-1.0, 1.0}:  # elsewhere -1 is a value that is not known
        cells["label"] = ["0" if cell and read_number(cell) == -1 else cell for cell in cells["label"]]
    reader = LabelReader(sheet, at["label"], target)
    empty = [line for line, cell in zip(lines, cells["id"], strict=True) if not cell]
    if empty:
        raise LabelError(f"{sheet.name}, line {empty[0]}: the id is empty; give every row the id of its patient.")
    rows = pd.DataFrame({"line": lines, "id": cells["id"]})
    rows["label"] = [
        reader.read(label, name, f"{sheet.name}, line {line}")[0]
        for line, name, label in zip(lines, cells["id"], cells["label"], strict=True)
    ]
    rows["label"] = rows["label"].astype(np.float64)
    notes = [*reader.notes]
    is_probability = out_of_range = False
    for name, column in (("score", "probability"), ("score_b", "probability_b")):
        if column in cells:
            values = _read_numbers(sheet, lines, cells[column], column)
            named = normalise_column(sheet.header[at[column]]) not in SCORES
            probable = named and _within(values)
            rows[name] = _log_odds(values) if probable else values
            if name == "score":
                rows["given"], is_probability, out_of_range = values, probable, named and not probable
            if not probable:
                notes.append(f"{sheet.header[at[column]]} is read as a score, not as a probability.")
    if "fold" in cells:
        rows["fold"] = cells["fold"]
    if "part" in cells:
        rows["part"] = [PARTS.get(normalise_column(cell), cell or "not stated") for cell in cells["part"]]
    if "site" in cells:
        rows["site"] = cells["site"]
    elif site_from_id:
        rows["site"] = [re.sub(r"(?i)^sub-", "", name) for name in cells["id"]]
        rows["site"] = rows["site"].str.extract(r"^([^\W\d_]+)", expand=False).fillna("")
        notes.append("The site is the letters that each id begins with, as asked for.")
    if "abstained" in cells:  # as predict --csv writes it
        count = sum(cell.lower() in ("true", "yes", "1") for cell in cells["abstained"])
        notes.append(
            f"The model's guard abstained from {count} of {len(lines)} rows; a row without a probability is in no figure."
        )
    covariates, ignored, answers = _read_covariates(sheet, set(at.values()), rows)
    if answers:
        notes.append(f"Not used, for they are answers of a model, or numbers of rows: {', '.join(answers)}.")
    if ignored:
        notes.append(f"Not used, for they hold free text, one value, or too many: {', '.join(ignored)}.")
    names = reader.class_names
    if names[0].endswith(" negative") and names[1].endswith(" positive"):
        names = ("negative", "positive")
    return Predictions(
        name=sheet.name,
        rows=rows,
        covariates=covariates,
        is_probability=is_probability,
        out_of_range=out_of_range,
        class_names=names,
        notes=tuple(notes),
    )


def _choose_sheet(sheets: Sequence[Sheet], target: Target) -> tuple[Sheet, dict[str, int]]:
    """The first sheet with ids and labels, and where each known column stands."""
    for sheet in sheets:
        names = [normalise_column(column) for column in sheet.header]
        wanted = {**COLUMNS, "label": (normalise_column(target.column),)} if target.column else COLUMNS
        at = {
            column: names.index(found)
            for column, known in wanted.items()
            if (found := next((name for name in known if name in names), None)) is not None
        }
        if all(column in at for column in REQUIRED):
            return sheet, at
    first = sheets[0]
    found = ", ".join(map(repr, first.header)) or "nothing"
    raise LabelError(
        f"{first.name} has no columns of ids and labels; found {found}; expected id, label and probability, one prediction "
        "a row. Another label column is named with --target."
    )


def _read_numbers(sheet: Sheet, lines: Sequence[int], cells: Sequence[str], column: str) -> Floats:
    values = np.array([np.nan if (number := read_number(cell)) is None else number for cell in cells])
    for place in map(int, np.flatnonzero(np.isnan(values))):
        if not is_not_known(cells[place]):
            raise LabelError(
                f"{sheet.name}, line {lines[place]}: {column} is {cells[place]!r}; expected a number such as 0.62, or an "
                "empty cell."
            )
    if np.isnan(values).all():
        raise LabelError(f"{sheet.name}: the column of {column} is empty; give every row its prediction.")
    return values


def _within(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    return bool(((known >= 0) & (known <= 1)).all())


def _log_odds(values: Floats) -> Floats:
    return logit(np.clip(values, LARGEST_ODDS, 1 - LARGEST_ODDS))


def _read_covariates(sheet: Sheet, used: set[int], rows: pd.DataFrame) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Put the covariates beside the rows; returns their names, the columns that are not used, and those of further answers."""
    names, ignored, answers = [], [], []
    for place, header in enumerate(sheet.header):
        name = normalise_column(header)
        name = next((known for known, pattern in COVARIATES.items() if pattern.fullmatch(name)), name)
        if place in used or name in rows:
            continue
        if name in COLUMNS["probability"] or OTHER_ANSWERS.fullmatch(name):
            answers.append(name or "a column without a name")
            continue
        cells = ["" if is_not_known(row[place]) else row[place] for _, row in sheet.rows]
        numbers = [read_number(cell) for cell in cells]
        levels = {cell for cell in cells if cell}
        numeric = all(number is not None for number, cell in zip(numbers, cells, strict=True) if cell)
        most = len(cells) // 4 if name in COVARIATES else min(MOST_LEVELS, len(cells) // 4)
        if len(levels) < 2 or (not numeric and len(levels) > max(2, most)):
            ignored.append(name)
            continue
        if numeric and len(levels) > 2:
            rows[name] = np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)
        else:
            rows[name] = [SEXES.get(cell.lower(), cell) if name == "sex" else cell for cell in cells]
        names.append(name)
    return tuple(names), ignored, answers
