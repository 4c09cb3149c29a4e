"""What age, sex, site and scanner predict by themselves, in folds, and what an image adds to them.

The estimator everywhere: logistic regression with scikit-learn's default penalty (L2, C = 1) on numbers that are imputed by
their median, with a column that says so, and standardized, and on words as one column a level, levels of fewer than five
training patients together; a value that is missing is a level. Folds are ``StratifiedKFold(5, shuffle=True)``, seeds 0, 1, ...
Everything is fitted on the training patients of each fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.folds import evaluate_folds, group_folds
from core.evaluation.metrics import Floats
from core.evaluation.permutation import permutation_p
from core.parallel import one_blas_thread

FOLDS, REPEATS = 5, 10
SHUFFLES = 999
STRATA = 5
"""Of the clinical predictor, within which labels are shuffled."""
FEWEST_OF_LEVEL = 5
SCORE = "score"
SETS: dict[str, tuple[str, ...]] = {
    "age + sex": ("age", "sex"),
    "site + scanner": ("site", "manufacturer", "scanner", "field_strength"),
}
HEADERS = "headers"
ALL = "all covariates"
HOW = (
    f"logistic regression (L2, C = 1); numbers: median, missing indicator, standardized; words: one column a level, under "
    f"{FEWEST_OF_LEVEL} training patients together, missing is a level; all fitted within the folds"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """How well covariates alone predict, and what the image adds."""

    name: str
    columns: tuple[str, ...]
    auroc: Figure
    log_loss: float
    missing: int
    """Patients without a value of one of the columns."""
    added_auroc: float | None = None
    """Mean over folds of the AUROC with the image less that without: an estimate, no test."""
    added_log_loss: float | None = None
    """The same of the log loss: below 0 is better."""
    p: float | None = None
    test: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As ``referee --json`` and ``baselines --json`` print it."""
        names = ("name", "log_loss", "missing", "added_auroc", "added_log_loss", "p", "test")
        return {name: getattr(self, name) for name in names} | {
            "columns": list(self.columns), "auroc": self.auroc.to_dict(),
        }  # fmt: skip


def list_sets(covariates: Sequence[str], headers: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return which covariates stand together, by the name of the baseline; sets without any are left out."""
    sets = {name: tuple(one for one in columns if one in covariates) for name, columns in SETS.items()}
    sets |= {HEADERS: tuple(headers), ALL: tuple(covariates)}
    found: dict[str, tuple[str, ...]] = {}
    for name, columns in sets.items():
        if columns and set(columns) not in map(set, found.values()):
            found[name if name not in SETS or len(columns) > 1 else " + ".join(columns)] = columns
    return found


def build_pipeline(frame: pd.DataFrame, columns: Sequence[str]) -> Pipeline:
    """Return the estimator for some columns of a table: those of floats are numbers, all others words."""
    numbers = [name for name in columns if pd.api.types.is_float_dtype(frame[name])]
    words = [name for name in columns if name not in numbers]
    of_numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=FEWEST_OF_LEVEL, sparse_output=False)
    encoder = ColumnTransformer([("numbers", of_numbers, numbers), ("words", levels, words)])
    return make_pipeline(encoder, LogisticRegression(max_iter=1000))


def deal_folds(
    labels: NDArray[np.int64], folds: NDArray[np.str_] | None, repeats: int = REPEATS
) -> list[NDArray[np.int64]]:
    """Return the fold of each patient, an array for each repeat: the table's own folds, or new ones.

    Raises
    ------
    EvaluationError
        A class has too few patients, or a fold of the table's holds one class.
    """
    if folds is not None:
        if min(len(np.unique(labels[folds == fold])) for fold in np.unique(folds)) < 2:
            raise EvaluationError("A fold holds one class only; deal each class over the folds.")
        return [np.unique(folds, return_inverse=True)[1].astype(np.int64)]
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < 2 * FOLDS:
        raise EvaluationError(f"The smaller class has {fewest} patients; {FOLDS} folds need {2 * FOLDS} at least.")
    dealt = []
    for seed in range(repeats):
        member = np.empty(len(labels), dtype=np.int64)
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        for number, (_, test) in enumerate(splitter.split(labels, labels)):
            member[test] = number
        dealt.append(member)
    return dealt


@one_blas_thread
def evaluate_baselines(
    patients: pd.DataFrame,
    sets: Mapping[str, Sequence[str]],
    folds: NDArray[np.str_] | None = None,
    training: pd.DataFrame | None = None,
    repeats: int = REPEATS,
) -> list[Baseline]:
    """Return how well each set of covariates predicts in folds and, where there is a ``score``, what that adds.

    Parameters
    ----------
    patients
        A row each: ``id``, ``label`` (0, 1), the covariates, and ``score``, the image model's, where there is one.
    sets
        Columns by the name of the baseline.
    folds
        Of shape (patients,): those that the image model was cross-validated in. None: the score is frozen, and new folds are
        dealt for the covariates alone.
    training
        The patients that the image model was trained on: the clinical predictor of the test is fitted on them.
    repeats
        Of new folds.

    Notes
    -----
    A model with the score holds the one without: DeLong's test of their two areas degenerates (Demler, Pencina and D'Agostino
    2012), so differences are given as estimates, and the test is a likelihood ratio (see :func:`likelihood_ratio_p`) or, in
    folds, a permutation given the covariates (:func:`conditional_permutation_p`).
    """
    labels, names = patients["label"].to_numpy(np.int64), patients["id"].to_numpy(dtype=np.str_)
    dealt = deal_folds(labels, folds, repeats)
    found = []
    for name, columns in sets.items():
        alone = _predict_in_folds(patients, columns, labels, dealt)
        logits = [fold for member, odds in alone for fold in group_folds(names, labels, odds, member)]
        missing = patients[list(columns)]
        baseline: dict[str, Any] = {
            "name": name,
            "columns": tuple(columns),
            "auroc": evaluate_folds(logits, ("0", "1"), 1)["auroc"],
            "log_loss": float(np.mean([_loss(labels, odds) for _, odds in alone])),
            "missing": int((missing.isna() | (missing == "")).any(axis=1).sum()),
        }
        if SCORE in patients and np.ptp(patients[SCORE]) > 0:
            scored = patients if folds is None else patients.assign(score=_standardize_within(patients, folds))
            both = _predict_in_folds(scored, (*columns, SCORE), labels, dealt)
            better = [fold for member, odds in both for fold in group_folds(names, labels, odds, member)]
            with_image = evaluate_folds(better, ("0", "1"), 1)["auroc"].value
            without = baseline["auroc"].value
            baseline["added_auroc"] = None if with_image is None or without is None else with_image - without
            baseline["added_log_loss"] = (
                float(np.mean([_loss(labels, odds) for _, odds in both])) - baseline["log_loss"]
            )
            baseline |= _test(scored, columns, labels, alone[0][1], folds, training)
        found.append(Baseline(**baseline))
    return found


def likelihood_ratio_p(labels: NDArray[np.int64], clinical: Floats, scores: Floats) -> float:
    """Return the p of a frozen score that adds nothing to a clinical predictor, on patients that neither was fitted to.

    Parameters
    ----------
    labels, scores
        Arrays of shape (patients,).
    clinical
        Array of shape (patients, columns): log odds of a model that was fitted elsewhere, or the covariates themselves.
    """
    without = _deviance(labels, clinical)
    return float(chdtrc(1, max(0.0, without - _deviance(labels, np.column_stack([clinical, scores])))))


def conditional_permutation_p(
    labels: NDArray[np.int64],
    clinical: Floats,
    scores: Floats,
    strata: NDArray[np.int64],
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> float:
    """Return the p of a score that says nothing given the covariates, by shuffling labels within strata.

    The statistic is what is left of the score beside the clinical predictor, summed over the positives. Out-of-fold scores
    are taken as they are: that the network learnt from other folds' labels, only ``permute`` repeats.

    Parameters
    ----------
    labels, scores
        Arrays of shape (patients,).
    clinical
        Array of shape (patients,): cross-fitted log odds of the covariates.
    strata
        Array of shape (patients,): fold and level of the clinical predictor.
    """
    generator = np.random.default_rng(seed)
    order = np.argsort(strata, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(strata[order]) != 0])
    design = np.column_stack([np.ones(len(labels)), clinical])
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    observed, null = 0.0, np.zeros(shuffles)
    for block in np.split(order, starts[1:]):
        around = rest[block] - rest[block].mean()
        observed += float(labels[block] @ around)
        null += generator.permuted(np.tile(labels[block], (shuffles, 1)), axis=1) @ around
    return permutation_p(abs(observed), np.abs(null))


def _test(
    patients: pd.DataFrame, columns: Sequence[str], labels: NDArray[np.int64], clinical: Floats,
    folds: NDArray[np.str_] | None, training: pd.DataFrame | None,
) -> dict[str, Any]:  # fmt: skip
    scores = patients[SCORE].to_numpy(np.float64)
    if folds is not None:
        levels = pd.Series(clinical).groupby(folds).rank(pct=True).mul(STRATA).apply(np.ceil).to_numpy(np.int64)
        strata = np.unique(folds, return_inverse=True)[1] * (STRATA + 1) + levels
        p = conditional_permutation_p(labels, clinical, scores, strata)
        test = f"labels shuffled within folds and fifths of the clinical predictor, {SHUFFLES} times; the network is not trained again"
        return {"p": p, "test": test}
    if training is not None and training["label"].value_counts().min() >= 2 * FEWEST_OF_LEVEL:
        fitted = build_pipeline(training, columns).fit(training, training["label"])
        odds, where = fitted.decision_function(patients)[:, None], "a clinical model of the training patients"
    else:
        odds = build_pipeline(patients, columns)[0].fit_transform(patients)
        where = "the covariates, fitted here"
    return {
        "p": likelihood_ratio_p(labels, odds, scores),
        "test": f"likelihood ratio of the frozen score beside {where}",
    }


def _predict_in_folds(
    patients: pd.DataFrame, columns: Sequence[str], labels: NDArray[np.int64], dealt: Sequence[NDArray[np.int64]]
) -> list[tuple[NDArray[np.int64], Floats]]:
    """Out-of-fold log odds of each repeat, with its folds."""
    found = []
    for member in dealt:
        odds = np.empty(len(labels))
        for fold in np.unique(member):
            test = member == fold
            model = build_pipeline(patients, columns).fit(patients[~test], labels[~test])
            odds[test] = model.decision_function(patients[test])
        found.append((member, odds))
    return found


def _standardize_within(patients: pd.DataFrame, folds: NDArray[np.str_]) -> pd.Series:
    """The score of each fold's network on one scale."""
    groups = patients[SCORE].groupby(folds)
    return (patients[SCORE] - groups.transform("mean")) / groups.transform("std").replace(0, 1).fillna(1)


def _deviance(labels: NDArray[np.int64], columns: Floats) -> float:
    model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(columns, labels)
    return 2 * float(log_loss(labels, model.predict_proba(columns), normalize=False))


def _loss(labels: NDArray[np.int64], odds: Floats) -> float:
    return float(np.logaddexp(0, np.where(labels == 1, -odds, odds)).mean())
