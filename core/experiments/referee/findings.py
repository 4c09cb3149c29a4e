"""What a table of predictions shows to be wrong: by itself, or by tests that keep their level together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import bdtrc

from core.data.clinical.labels import id_key
from core.evaluation import metrics
from core.experiments.referee.table import Predictions

SHOWN = 10
"""Ids that a finding names."""
FEWEST = 10
"""Patients of each class under which no figure says much."""
DIGITS = 10
"""Decimals from which on two patients with the same answer are taken for the same image."""
DISTINCT = 0.9
"""Share of answers that must be distinct before equal ones are taken for the same image."""
CHANCE = 0.001
"""Probability under which answers do not repeat by chance in patients who are alike."""
SEPARATES = 0.99
"""AUROC of a covariate alone that is taken for the label in other words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a reader of the figures must know."""

    kind: str
    severity: Literal["flaw", "warning", "note"]
    """A flaw makes a figure untrue, a warning may; a note is how the table was read."""
    evidence: Literal["file", "statistic"]
    text: str
    remedy: str = ""
    where: tuple[str, ...] = ()
    """Ids, the first :data:`SHOWN`."""
    p: float | None = None
    """Of a statistic, adjusted for the number of tests in the report (Holm)."""

    def to_dict(self) -> dict[str, object]:
        """As ``referee --json`` prints it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def split_column(table: Predictions) -> str | None:
    """Return the column that deals the rows to two parts or folds at least; None where nothing does."""
    return next((name for name in ("part", "fold") if table.has(name) and table.rows[name].nunique() > 1), None)


def find_leaks(table: Predictions) -> tuple[list[Finding], dict[str, str]]:
    """Return what the ids say of persons on both sides of a split, and the ids of those who are, each with the id that the
    person is counted by.

    Ids are compared as they are written, and without zeros, cases and generic words ("sub-7" and "007"). Two ids of
    different parts with the same answer to ten decimals, in a table whose answers are otherwise distinct, are one image.
    Copies of patients, with the same label and covariates too, are left out of account in that.
    """
    groups = split_column(table)
    if groups is None:
        return [], {}
    rows = table.rows
    places: dict[str, set[str]] = defaultdict(set)
    spellings: dict[object, set[str]] = defaultdict(set)
    for name, place in zip(rows["id"], rows[groups], strict=True):
        places[name].add(place)
        spellings[id_key(name)].add(name)
    twice = {name for name, found in places.items() if len(found) > 1}
    alike = {
        name
        for names in spellings.values()
        if len(names) > 1 and len(set().union(*(places[name] for name in names))) > 1
        for name in names - twice
    }
    first = _find_same_answers(table) if groups == "part" else {}
    same = set(first) - twice - alike
    where = groups
    remedy = f"Deal persons, not rows, to the {where}s, train again, and judge again."
    texts = (
        ("id_in_two_parts", twice, f"ids stand in more than one {where}: the same persons on both sides"),
        ("near_equal_ids", alike, f"ids of different {where}s differ only in zeros, case or a prefix"),
        ("same_answer_twice", same, f"ids of different {where}s have the same answer to {DIGITS} decimals"),
    )
    findings = [
        Finding(
            kind=kind, severity="flaw", evidence="file", text=f"{len(ids)} {text}.", remedy=remedy, where=_some(ids)
        )
        for kind, ids, text in texts
        if ids
    ]
    return findings, {name: first.get(name, name) for name in twice | alike | same}


def count_once(table: Predictions, leaked: Iterable[str]) -> tuple[Predictions, list[Finding], dict[str, str]]:
    """Return the table with one id a person, what is said of that, and the ids that are another's, each with the one that counts.

    Ids of one label that differ only in zeros, case or a generic word are one person, and so are copies within a part
    (:func:`_find_copies`). Of those who are `leaked` the split says enough.
    """
    keys = table.rows["id"].map(lambda name: str(id_key(name)))
    first = table.rows["id"].groupby(keys).transform("first")
    agree = table.rows["label"].groupby(keys).transform("nunique") < 2
    rows = table.rows.assign(id=first.where(agree, table.rows["id"]))
    spelt: dict[str, str] = dict(zip(table.rows["id"], rows["id"].astype(str), strict=True))
    known = [_find_copies(table, part) for _, part in (rows.groupby("part") if table.has("part") else [("", rows)])]
    copied = {name: one for each in known for name, one in _first_ids(each, pd.Index(each["value"])).items()}
    counted = {name: copied.get(one, one) for name, one in spelt.items()}
    of_copies = {name for name, one in copied.items() if name != one}
    of_spellings = {name for name, one in spelt.items() if name != one} - set(leaked)
    texts = (
        ("same_answer_twice", of_copies, f"have the answer (to {DIGITS} decimals), label and covariates of another id"),
        ("spelled_twice", of_spellings, "differ from another id only in zeros, case or a prefix"),
    )
    findings = [
        Finding(
            kind=kind, severity="warning", evidence="file", text=f"{len(ids)} ids {text}: each person is counted once.",
            remedy="Give every person one id, and judge again.", where=_some(ids),
        )
        for kind, ids, text in texts
        if ids
    ]  # fmt: skip
    others = {name: one for name, one in counted.items() if name != one}
    return replace(table, rows=rows.assign(id=rows["id"].map(lambda name: copied.get(name, name)))), findings, others


def _find_same_answers(table: Predictions) -> dict[str, str]:
    """The ids of different parts with one answer, each with the first id that has it."""
    known = _read_answers(table.rows)
    if known["id"].nunique() < FEWEST:
        return {}
    if known["value"].nunique() < DISTINCT * len(known):
        known = _find_copies(table, table.rows)
    found = known.groupby("value").agg({"id": "nunique", "part": "nunique"})
    return _first_ids(known, found.index[(found["id"] > 1) & (found["part"] > 1)])


def _find_copies(table: Predictions, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of ids that have their answer, label and covariates in common with another id; none where chance may do it.

    Answers of few levels (votes, half precision) repeat, too, but in patients who differ. So nine of ten answers that repeat
    must do so in patients who are alike, which is to be unlikely (:data:`CHANCE`) by the share of neighbours in rank who are;
    and with one of each group of copies kept, answers must be otherwise distinct.
    """
    known = _read_answers(rows).dropna(subset=["label"]).sort_values("value", kind="stable")
    known = known.assign(profile=known.groupby(["label", *table.grouping], dropna=False).ngroup())
    ids = known.groupby("value")["id"].nunique()
    profiles = known.groupby("value")["profile"].nunique()
    repeated, copied = int((ids > 1).sum()), ids.index[(ids > 1) & (profiles == 1)]
    copies = known[known["value"].isin(copied)]
    kept = known.drop_duplicates(["value", "profile"])
    if repeated < FEWEST or len(copied) < DISTINCT * repeated or len(ids) < DISTINCT * len(kept):
        return copies.head(0)
    if (ids[copied] == ids[copied].median()).mean() < DISTINCT:  # a copied table has as many of each, votes have not
        return copies.head(0)
    ranked = known.drop_duplicates("value")["profile"].to_numpy()
    alike = float((ranked[1:] == ranked[:-1]).mean())
    return copies if bdtrc(len(copied) - 1, repeated, alike) < CHANCE else copies.head(0)


def _read_answers(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose answer is not rounded, with its first decimals as ``value``."""
    if "given" not in rows:
        return rows.head(0).assign(value=0.0)
    known = rows.assign(value=rows["given"].round(DIGITS))
    return known[known["given"].notna() & (known["value"] != known["given"].round(DIGITS - 4))]


def _first_ids(known: pd.DataFrame, values: pd.Index) -> dict[str, str]:
    """The ids with one of these answers, each with the first id that has it."""
    inside = known[known["value"].isin(values)]
    return dict(zip(inside["id"], inside.groupby("value")["id"].transform("first"), strict=True))


def find_flaws(table: Predictions, rows: pd.DataFrame, patients: pd.DataFrame, judged: str) -> list[Finding]:
    """Return what the rows that are judged show by themselves: no test, no chance.

    Parameters
    ----------
    table
        The whole table.
    rows, patients
        Those that are judged, a row each as the table has them, and one a person.
    judged
        Their part; empty where the table has none.
    """
    findings: list[Finding] = []

    def find(
        kind: str, severity: Literal["flaw", "warning", "note"], text: str, remedy: str, ids: Iterable[str] = ()
    ) -> None:
        findings.append(
            Finding(kind=kind, severity=severity, evidence="file", text=text, remedy=remedy, where=_some(ids))
        )

    labels = rows.dropna(subset=["label"]).groupby("id")["label"].nunique()
    both = labels.index[labels > 1]
    if len(both):
        find("contradictory_labels", "flaw", f"{len(both)} ids have both labels; they are left out.",
             "Give every person one label.", both)  # fmt: skip
    unknown = rows[rows["label"].isna()]["id"].nunique()
    if unknown:
        find("missing_labels", "note", f"{unknown} persons have no label that is known; they are left out.",
             "Say how many were left out, and why.")  # fmt: skip
    missing = rows[rows["score"].isna() & rows["label"].notna()]
    lost = set(missing["id"]) - set(patients["id"])
    if lost:
        find("missing_predictions", "note", f"{len(lost)} persons with a label have no prediction; they are left out.",
             "Predict for everybody, or say why not: who is hard to predict may be who is missing.", lost)  # fmt: skip
    if table.out_of_range:
        find("out_of_range", "flaw", "The probabilities are not between 0 and 1; they are read as scores.",
             "Give probabilities (percent divided by 100), or name the column score.")  # fmt: skip
    per_id = len(rows) / max(1, rows["id"].nunique())
    if per_id > 1:
        find("several_rows_per_id", "note", f"{len(rows)} rows of {rows['id'].nunique()} persons: one answer a person, the "
             "mean of the rows' log odds (or scores), and n counts persons.", "")  # fmt: skip
    if judged in ("train", "val"):
        what = "trained the model" if judged == "train" else "chose its epoch or threshold"
        find(f"judged_on_{judged}", "flaw", f"No row is of a test part; these are the patients that {what}.",
             "Judge on patients that were used for nothing else.")  # fmt: skip
    others = sorted(set(table.rows["part"]) - {judged}) if judged else []
    if others and judged not in ("train", "val", "test"):
        find("part_not_known", "warning", f"No part is called test: the rows of {judged!r} are judged, those of "
             f"{', '.join(map(repr, others))} are not.", "Call the parts train, val and test.")  # fmt: skip
    given = patients["score"].to_numpy(np.float64)
    if len(given) > 1 and np.ptp(given) == 0:
        find("constant_scores", "flaw", "Every patient has the same answer.", "Check what was written to the table.")
    elif table.is_probability and set(np.unique(rows["given"].dropna())) <= {0.0, 1.0}:
        find("decisions", "warning", "Every probability is 0 or 1: these are decisions, not probabilities.",
             "Write the probabilities before the threshold.")  # fmt: skip
    if "fold" in patients and np.ptp(given) > 0:
        of_fold = patients.groupby("fold")["score"]
        constant = int(((of_fold.nunique() == 1) & (of_fold.size() > 1)).sum())
        if constant == len(of_fold):
            find("constant_scores", "flaw", "Every patient of a fold has the same answer, so that nobody is ranked.",
                 "Check what was written to the table.")  # fmt: skip
        elif constant:
            find("constant_in_fold", "warning", f"In {constant} of {len(of_fold)} folds every patient has the same answer: "
                 "nobody is ranked there, and the mean holds their AUROC of 0.5.", "Train these folds again.")  # fmt: skip
    counts = patients["label"].value_counts()
    fewest = int(min(counts.get(0.0, 0), counts.get(1.0, 0)))
    if fewest < FEWEST:
        find(
            "few_patients",
            "warning",
            f"The smaller class has {fewest} patients.",
            "Add patients, or withhold the figure.",
        )
    if table.has("fold") and rows["fold"].nunique() == 1:
        find("one_fold", "warning", "All rows are of one fold: the result of a cross-validation is that of all its folds.",
             "Hand in every fold.")  # fmt: skip
    if "fold" in patients:
        alone = patients.groupby("fold")["label"].nunique()
        if (alone < 2).any():
            find("fold_of_one_class", "warning", f"{int((alone < 2).sum())} folds hold one class only: the "
                 "AUROC is over all folds, so that answers of different networks are compared.",
                 "Deal each class over the folds.")  # fmt: skip
    telling = [name for name in table.covariates if _separates(patients, name)]
    if telling:
        find("covariate_is_label", "flaw", f"These covariates tell the label by themselves: {', '.join(telling)}.",
             "Leave out what was measured after, or made from, the outcome.")  # fmt: skip
    return findings


def _separates(patients: pd.DataFrame, name: str) -> bool:
    """Whether a covariate alone tells the label."""
    known = patients[patients[name].notna() & (patients[name] != "")]
    positive = known["label"].to_numpy(np.float64) == 1
    if min(positive.sum(), (~positive).sum()) < FEWEST:
        return False
    if pd.api.types.is_float_dtype(known[name]):
        return _area(positive, known[name].to_numpy(np.float64)) >= SEPARATES
    if known[name].nunique() > 5:
        return False
    share = known.groupby(name)["label"].mean()
    return _area(positive, known[name].map(share).to_numpy(np.float64)) >= SEPARATES


def _area(positive: ArrayLike, values: ArrayLike) -> float:
    scores = np.asarray(values, dtype=np.float64)
    area = float(metrics.auroc(np.asarray(positive, dtype=bool), scores, np.ones((1, len(scores))))[0])
    return max(area, 1 - area)


def _some(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(ids)[:SHOWN])


CANNOT_BE_SEEN: Sequence[str] = (
    "whether the epoch, the threshold or the architecture was chosen on the patients that are judged",
    "how many models, seeds and settings were tried before this one",
    "whether preparation (normalisation, feature selection, oversampling) was fitted on all patients before they were split",
    "whether slices of one person were dealt to both sides before they were put together into one row",
    "whether two ids that look different are one person",
    "whether the labels were known to whoever chose or outlined the images",
    "whether patients were left out before the table was written",
    "what the images hold: marks, padding, headers, other scanners",
)
"""What no table of predictions shows."""
