"""The referee's report: every figure that a table of predictions allows, what is wrong with it, and what it cannot show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from core.data.clinical.labels import id_key
from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.calibration import measure_calibration
from core.evaluation.curves import reliability_bins
from core.evaluation.figure import Figure, estimand_of
from core.evaluation.figures import compute_figures
from core.evaluation.folds import evaluate_folds, group_folds
from core.evaluation.metrics import Floats
from core.evaluation.paired import auroc_difference, mean_difference
from core.evaluation.power import (
    FEWEST_OF_FOLD,
    FEWEST_PATIENTS,
    FOLDS,
    Design,
    auroc_variance,
    patients_needed,
    smallest_auroc,
    validation_sizes,
)
from core.evaluation.selection import expected_gain
from core.evaluation.thresholds import decision_curve, decision_words, evaluate_thresholds, values_at_prevalence
from core.evaluation.unpaired import unpaired_difference
from core.experiments.referee.checks import (
    below_chance_p,
    better_p,
    calibration_p,
    find_by_tests,
    interaction_p,
    levels_of,
    shares_p,
    site_p,
)
from core.experiments.referee.findings import CANNOT_BE_SEEN, Finding, count_once, find_flaws, find_leaks, split_column
from core.experiments.referee.label_error import bound_auroc
from core.experiments.referee.table import Predictions
from core.figure_text import number_text, value_text
from core.parallel import one_blas_thread

BINS = 10
PLANNED = 0.8
"""Power that a number of patients is said for."""
HOPED = (0.6, 0.7)
"""AUROCs that it is said for."""
REPEATS = 3
"""Of new folds for the baselines; one where there are more than :data:`MANY` patients."""
MANY = 2000
MOST_PATIENTS = 50_000
"""More take gigabytes for the decision curve's band."""
ACTS_AT = 0.5
"""Threshold at which predictive values are stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What a table cannot say of itself."""

    label_error: tuple[float, float] | None = None
    """Sensitivity and specificity of the labels."""
    prevalence: float | None = None
    """Share of positives where the model would be used."""
    tried: int = 1
    """Models, epochs or settings of which this one was the best on these patients."""
    baselines: bool = True
    """Cross-validate the covariates: most of the time that a report takes."""


@one_blas_thread
def judge(table: Predictions, questions: Questions | None = None) -> dict[str, Any]:
    """Return the report on a table, as ``referee --json`` prints it.

    Parameters
    ----------
    table
        With a column of predictions.
    questions
        What the table cannot say of itself.

    Raises
    ------
    EvaluationError
        There are no predictions, or no labelled patient is left to judge.
    """
    asked = questions or Questions()
    if not table.has("score"):
        raise EvaluationError(f"{table.name} has no column of predictions; expected one named probability, or score.")
    leaks, leaked = find_leaks(table)
    table, copies, others = count_once(table, leaked)
    leaked = {others.get(name, name): person for name, person in leaked.items()}
    part = _judged_part(table)
    rows = table.rows if part is None else table.rows[table.rows["part"] == part]
    everybody = by_patient(table, rows)
    in_parts = split_column(table) == "part"
    patients = everybody[~everybody["id"].isin(list(leaked))].reset_index(drop=True) if in_parts else everybody
    if patients.empty:
        patients = everybody
    if patients.empty:
        raise EvaluationError(f"{table.name} holds no patient with a label and a prediction to judge.")
    if len(patients) > MOST_PATIENTS:
        raise EvaluationError(f"{table.name} holds {len(patients):,} patients; give {MOST_PATIENTS:,} at most.")
    flaws = find_flaws(table, rows, patients, part or "")
    positive, scores = patients["label"].to_numpy() == 1, patients["score"].to_numpy(np.float64)
    discrimination = _discriminate(patients, table.is_probability)
    document: dict[str, Any] = {
        "file": table.name,
        "rows": len(table.rows),
        "n": len(patients),
        "copies": len(others),
        "positive": int(positive.sum()),
        "class_names": list(table.class_names),
        "design": "folds" if "fold" in patients else "hold-out",
        "judged": part or "all rows",
        "estimand": estimand_of("referee"),
        "is_probability": table.is_probability,
        "discrimination": {name: figure.to_dict() for name, figure in discrimination.items()},
        "calibration": _calibrate(table, positive, scores),
        "net_benefit": _benefit(table, positive, scores),
        "predictive_values": _values(table, positive, scores, asked.prevalence),
        "parts": _by_part(table),
        "subgroups": _by_subgroup(table, patients),
        "comparison": _compare(patients, table.is_probability),
        "baselines": _baselines(table, patients, part) if asked.baselines else [],
        "sample_size": _size(patients),
        "label_error": None
        if asked.label_error is None
        else _bounds(positive, scores, discrimination, asked.label_error),
        "selection": _selection(asked.tried, discrimination["auroc"], positive),
        "leaks": _leak_verdict(table, leaks, leaked, everybody, patients),
        "missing": _count_missing(table, patients),
        "cannot_be_seen": list(CANNOT_BE_SEEN),
        "notes": list(table.notes),
    }
    if len(document["subgroups"]) > 1:
        count = len(document["subgroups"])
        document["notes"].append(
            f"{count} subgroups are listed: at least one of {count} intervals of 95% misses by chance in up to "
            f"{min(1.0, 0.05 * count):.0%}. Only what stands among the findings is adjusted for their number."
        )
    tested = find_by_tests(*_test(table, rows, patients))
    findings = sorted(
        [*leaks, *copies, *flaws, *tested], key=lambda one: ("flaw", "warning", "note").index(one.severity)
    )
    document["findings"] = [one.to_dict() for one in findings]
    document["sentence"] = _sentence(document, findings)
    return document


def by_patient(table: Predictions, rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a person: the mean of the scores, the first of what else is known; persons with two labels are left out."""
    columns = [name for name in rows.columns if name not in ("line", "given")]
    known = rows.loc[rows["label"].notna() & rows["score"].notna(), columns]
    grouped = known.groupby("id", sort=False)
    patients = grouped.first().assign(score=grouped["score"].mean())
    if table.has("score_b"):
        patients["score_b"] = grouped["score_b"].mean()
    patients = patients[grouped["label"].nunique() == 1].reset_index()
    if table.has("fold") and patients["fold"].nunique() < 2:
        patients = patients.drop(columns="fold")
    return patients


def _judged_part(table: Predictions) -> str | None:
    """The part whose rows are judged: the test part, else another that did not train, else what there is."""
    if not table.has("part"):
        return None
    found = list(dict.fromkeys(table.rows.loc[table.rows["score"].notna(), "part"]))
    others = [part for part in found if part not in ("train", "val", "test")]
    return next((part for part in ("test", *others, "val", "train") if part in found), None)


def _discriminate(patients: pd.DataFrame, is_probability: bool) -> dict[str, Figure]:
    labels, scores = patients["label"].to_numpy(np.int64), patients["score"].to_numpy(np.float64)
    logits = np.column_stack([np.zeros(len(scores)), scores])
    names = ("auroc", "auprc", *(("brier", "log_loss") if is_probability else ()))
    figures = compute_figures(labels, logits, class_names=("negative", "positive"))
    found = {name: figures[name] for name in names}
    if "fold" in patients:
        member = patients["fold"].to_numpy(dtype=np.str_)
        folds = group_folds(patients["id"].to_numpy(dtype=np.str_), labels, scores, member)
        if all(len(np.unique(fold.labels)) == 2 for fold in folds):
            within = evaluate_folds(folds, ("negative", "positive"), 1)
            found = {"auroc": within["auroc"]} | ({"brier": within["brier"]} if is_probability else {})
    return found


def _calibrate(table: Predictions, positive: NDArray[np.bool_], scores: Floats) -> dict[str, Any]:
    if not table.is_probability:
        return {"reason": "scores are no probabilities: what they promise cannot be held against what was"}
    figures = {name: figure.to_dict() for name, figure in measure_calibration(positive, scores).items()}
    bins = reliability_bins(positive, expit(scores), BINS)
    curve = [
        {"promised": float(promised), **figure.to_dict()}
        for promised, figure in zip(bins.promised, bins.figures, strict=True)
    ]
    return {**figures, "curve": curve}


def _benefit(table: Predictions, positive: NDArray[np.bool_], scores: Floats) -> dict[str, Any]:
    if not table.is_probability:
        return {"reason": "a threshold probability needs probabilities"}
    curve = decision_curve(positive, expit(scores))
    names = ("thresholds", "model", "low", "high", "all", "gain_low")
    arrays = {name: [float(value) for value in getattr(curve, name)] for name in names}
    if not np.isfinite(curve.low).all():
        return {"reason": "one patient says nothing"}
    return {**arrays, "adds": curve.adds.tolist(), "words": decision_words(curve)}


def _values(
    table: Predictions, positive: NDArray[np.bool_], scores: Floats, prevalence: float | None
) -> dict[str, Any] | None:
    if prevalence is None or not table.is_probability:
        return None
    (point,) = evaluate_thresholds(positive, expit(scores), [ACTS_AT])
    values = {name: figure.to_dict() for name, figure in values_at_prevalence(point, prevalence).items()}
    return {"prevalence": prevalence, "threshold": ACTS_AT, **values}


def _by_part(table: Predictions) -> list[dict[str, Any]]:
    if not table.has("part"):
        return []
    found = []
    for part, rows in table.rows.groupby("part", sort=False):
        patients = by_patient(table, rows)
        figure = _auroc(patients)
        share = float(patients["label"].mean()) if len(patients) else None
        found.append({"part": str(part), "n": len(patients), "positive_share": share, "auroc": figure.to_dict()})
    return found


def _by_subgroup(table: Predictions, patients: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for name in table.grouping:
        levels = levels_of(patients, name)
        if levels is None:
            continue
        for level in sorted(set(levels) - {""}):
            inside = levels == level
            figure, rest = _auroc(patients[inside]), _auroc(patients[(levels != "") & ~inside])
            found.append(
                {"covariate": name, "level": level, "n": int(inside.sum()), "auroc": figure.to_dict(),
                 "interaction": unpaired_difference(figure, rest).to_dict()}
            )  # fmt: skip
    return found


def _auroc(patients: pd.DataFrame) -> Figure:
    if patients.empty:
        return Figure(value=None, low=None, high=None, n=0, reason="no patients")
    return _discriminate(patients.drop(columns="fold", errors="ignore"), False)["auroc"]


def _compare(patients: pd.DataFrame, is_probability: bool) -> dict[str, Any] | None:
    if "score_b" not in patients:
        return None
    both = patients[patients["score_b"].notna()]
    positive = both["label"].to_numpy() == 1
    ours, theirs = both["score"].to_numpy(np.float64), both["score_b"].to_numpy(np.float64)
    if "fold" in both:
        ours, theirs = (
            pd.Series(one).groupby(both["fold"].to_numpy()).rank(pct=True).to_numpy() for one in (ours, theirs)
        )
    try:
        found: dict[str, Any] = {"auroc": auroc_difference(positive, ours, theirs).to_dict(), "n": len(both)}
        if is_probability:
            one, other = (
                metrics.log_losses(positive, expit(both[name].to_numpy(np.float64))) for name in ("score", "score_b")
            )
            found["log_loss"] = mean_difference(one, other, both["label"].to_numpy(np.int64)).to_dict()
    except EvaluationError as error:
        return {"reason": str(error), "n": len(both)}
    found["how"] = "by ranks within folds" if "fold" in both else "on the same patients"
    return found


def _baselines(table: Predictions, patients: pd.DataFrame, part: str | None) -> list[dict[str, Any]]:
    if not table.grouping:
        return []
    from core.experiments.referee.baselines import evaluate_baselines, list_sets

    training = None
    if part is not None and part != "train" and "train" in set(table.rows["part"]):
        training = by_patient(table, table.rows[(table.rows["part"] == "train")])
    folds = patients["fold"].to_numpy(dtype=np.str_) if "fold" in patients else None
    repeats = REPEATS if len(patients) <= MANY else 1
    try:
        found = evaluate_baselines(patients, list_sets(table.grouping), folds, training, repeats)
    except EvaluationError as error:
        return [{"name": "baselines", "reason": str(error)}]
    return [one.to_dict() for one in found]


def _size(patients: pd.DataFrame) -> dict[str, Any]:
    n, share = len(patients), float(patients["label"].mean())
    design: Design = "folds" if "fold" in patients else "known"
    if n < (FEWEST_OF_FOLD * FOLDS if design == "folds" else FEWEST_PATIENTS) or not 0 < share < 1:
        return {"n": n, "reason": f"{n} patients, {share:.0%} of them positive, are too few to plan with"}
    needed = {f"{area:g}": patients_needed(area, power=PLANNED, prevalence=share, design=design) for area in HOPED}
    smallest = smallest_auroc(n, power=PLANNED, prevalence=share, design=design)
    riley = {f"{area:g}": validation_sizes(area, share) for area in HOPED}
    return {"n": n, "smallest_auroc": smallest, "power": PLANNED, "needed": needed, "validation": riley}


def _bounds(
    positive: NDArray[np.bool_], scores: Floats, figures: Mapping[str, Figure], rates: tuple[float, float]
) -> dict[str, Any]:
    found = bound_auroc(positive, scores, figures["auroc"], *rates)
    return {**asdict(found), "at_random": found.at_random.to_dict(), "wrong": list(found.wrong)}


def _selection(tried: int, auroc: Figure, positive: NDArray[np.bool_]) -> dict[str, Any]:
    if tried < 2 or auroc.value is None:
        return {"tried": tried}
    error = np.sqrt(auroc_variance(0.5, len(positive), float(positive.mean())))
    return {"tried": tried, "gain_by_chance": expected_gain(tried, float(error)), "at_most": True}


def _leak_verdict(
    table: Predictions,
    leaks: Sequence[Finding],
    leaked: Mapping[str, str],
    everybody: pd.DataFrame,
    patients: pd.DataFrame,
) -> dict[str, Any]:
    if not (table.has("part") or table.has("fold")):
        return {"verdict": "cannot be told: there is no column of parts or folds", "persons": 0}
    if split_column(table) is None:
        one = "part" if table.has("part") else "fold"
        return {"verdict": f"cannot be told: all rows are of one {one}", "persons": 0}
    if not leaks:
        return {"verdict": "none found: no id, and no spelling of one, stands on both sides", "persons": 0}
    inside = everybody["id"].isin(list(leaked))
    document: dict[str, Any] = {
        "verdict": "persons stand on both sides",
        "persons": len({id_key(name) for name in leaked.values()}),
    }
    document["left_out"] = len(everybody) - len(patients)
    if document["left_out"]:
        document |= {"with_them": _auroc(everybody).to_dict(), "theirs": _auroc(everybody[inside]).to_dict()}
    return document


def _count_missing(table: Predictions, patients: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [*table.grouping, *(["score_b"] if "score_b" in patients else [])]
    counts = {name: int((patients[name].isna() | (patients[name] == "")).sum()) for name in columns}
    used = "an indicator, the median" if counts else ""
    return [
        {"column": name, "missing": count, "n": len(patients), "how": used} for name, count in counts.items() if count
    ]


def _test(
    table: Predictions, rows: pd.DataFrame, patients: pd.DataFrame
) -> tuple[dict[str, float | None], dict[str, Finding]]:
    """The p value of each check, and what it says where it is small."""
    positive, scores = patients["label"].to_numpy() == 1, patients["score"].to_numpy(np.float64)
    p: dict[str, float | None] = {}
    texts: dict[str, Finding] = {}

    def check(kind: str, value: float | None, text: str, remedy: str) -> None:
        p[kind] = value
        texts[kind] = Finding(kind=kind, severity="warning", evidence="statistic", text=text, remedy=remedy)

    strata = patients["fold"].to_numpy() if "fold" in patients else np.zeros(len(patients))
    check("below_chance", below_chance_p(positive, scores, strata), "The ranking is worse than guessing.",
          "See whether the positive class, or the sign of the score, is turned round.")  # fmt: skip
    if "score_b" in patients:
        known_b = patients["score_b"].notna().to_numpy()
        p_b = below_chance_p(positive[known_b], patients["score_b"][known_b], strata[known_b])
        check("below_chance_b", p_b, "Model B's ranking is worse than guessing.",
              "See whether its positive class, or the sign of its score, is turned round.")  # fmt: skip
    if table.is_probability:
        check("miscalibrated", calibration_p(positive, scores), "The probabilities are not what happens.",
              "Calibrate on patients that are not judged; read no threshold or net benefit before.")  # fmt: skip
    known = rows[rows["label"].notna()].groupby("id").agg({"label": "first", "score": "count"})
    gone = (known["score"] == 0).to_numpy()
    if gone.any():
        yes = known["label"].to_numpy() == 1
        check("missing_by_label", shares_p(gone[yes], gone[~yes]), "Predictions are missing more often in one class.",
              "Predict for everybody, or judge what is missing as wrong.")  # fmt: skip
    if "site" in patients:
        check("site_shortcut", site_p(positive, scores, patients["site"]),
              "Sites differ in their share of positives, and the scores follow the site: part of the AUROC is the site's.",
              "Read the AUROC within sites, and train with sites held out.")  # fmt: skip
    for name in table.grouping:
        levels = levels_of(patients, name)
        if levels is not None:
            inside = levels != ""
            check(f"subgroup_{name}", interaction_p(positive[inside], scores[inside], levels[inside]),
                  f"The AUROC differs between the levels of {name}.", "State it by level.")  # fmt: skip
    _test_parts(table, patients, check)
    return p, texts


def _test_parts(table: Predictions, patients: pd.DataFrame, check: Any) -> None:
    """The checks that compare the judged patients with those of the other parts."""
    if not table.has("part") or _judged_part(table) != "test":
        return
    others = {part: by_patient(table, table.rows[table.rows["part"] == part]) for part in ("train", "val")}
    labelled = table.rows[table.rows["label"].notna()].drop_duplicates("id")
    elsewhere = labelled[labelled["part"].isin(["train", "val"])]["label"] == 1
    check("prevalence_shift", shares_p(patients["label"] == 1, elsewhere),
          "The share of positives is not that of the patients it was trained on.",
          "Recalibrate the intercept; predictive values hold for their own share only.")  # fmt: skip
    val = others["val"]
    if len(val):
        check("validation_better", better_p((val["label"] == 1, val["score"]), (patients["label"] == 1, patients["score"])),
              "Validation patients are ranked better than test patients: they chose something.",
              "State the test figure only.")  # fmt: skip


def _sentence(document: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    auroc = document["discrimination"]["auroc"]
    flaws = sum(one.severity == "flaw" for one in findings)
    if auroc["value"] is None:
        told = f"No AUROC: {auroc['reason']}"
    elif auroc["low"] is None:
        told = f"AUROC {value_text(auroc)}"
    elif auroc["low"] > 0.5:
        told = f"The ranking is told from guessing: AUROC {value_text(auroc)}"
    elif auroc["high"] < 0.5:
        told = f"The ranking is below chance, and the scores may be turned round: AUROC {value_text(auroc)}"
    else:
        told = f"The ranking is not told from guessing: AUROC {value_text(auroc)}"
    smallest = document["sample_size"].get("smallest_auroc")
    able = (
        "" if smallest is None else f"; so many tell {number_text(smallest)} and more from 0.5 with {PLANNED:.0%} power"
    )
    what = f" {flaws} flaws make figures here untrue: read them first." if flaws > 1 else ""
    what = " One flaw makes figures here untrue: read it first." if flaws == 1 else what
    return f"{told}, n = {document['n']} patients{able}.{what}"
