"""A logistic regression cross-validated by patient: what a few features of each patient say of the label.

Scaling, principal components and penalty are fitted within the training patients of each fold. The AUROC is the mean of the
folds' own; outputs of different folds are never compared with each other. The permutation test shuffles the labels among
the patients (within sites, where they are given) and repeats all of it, the choice of the penalty included.
"""

from __future__ import annotations

import warnings
from itertools import count

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, permutation_test_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.folds import WIDENED, mean_auroc_interval
from core.evaluation.metrics import Floats, Integers, auroc
from core.evaluation.permutation import Exchange, permutation_p
from core.experiments.controls.head_result import HeadResult
from core.parallel import one_blas_thread
from core.progress import Progress, silent

PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths C to choose from."""
PENALTY = 0.1
"""Where it is not chosen."""
COMPONENTS = 10
FOLDS, INNER_FOLDS = 5, 3
FEWEST_PER_CLASS = 6


@one_blas_thread
def evaluate_head(
    features: Floats,
    labels: Integers,
    *,
    permutations: int = 199,
    components: int = COMPONENTS,
    seed: int = 0,
    nested: bool = True,
    exchange: Exchange | None = None,
    progress: Progress = silent,
) -> HeadResult:
    """Evaluate a linear head by cross-validation over patients, and test it by permutation.

    Parameters
    ----------
    features
        Array of shape (patients, features); one row per patient.
    labels
        Array of shape (patients,), true or 1 for the positive class.
    permutations
        How often the labels are shuffled.
    components
        Principal components that the features are reduced to where they are more.
    seed
        Of folds and shuffles.
    nested
        Choose the penalty within each training part; otherwise it is 0.1 (several times as fast).
    exchange
        Among whom labels are shuffled; among all patients by default.
    progress
        Called per permutation; may raise to stop.

    Raises
    ------
    EvaluationError
        Fewer than six patients of a class.
    """
    truth = np.asarray(labels) == 1
    fewest = min(int(truth.sum()), int((~truth).sum()))
    if fewest < FEWEST_PER_CLASS:
        raise EvaluationError(
            f"A linear head is evaluated with at least {FEWEST_PER_CLASS} patients of each class; here the smaller has "
            f"{fewest}. Add patients."
        )
    folds = min(FOLDS, fewest // 2)
    cv = StratifiedKFold(folds, shuffle=True, random_state=seed)
    fitted_to = len(truth) - -(-len(truth) // folds)
    head = build_head(min(components, features.shape[1], fitted_to), nested, seed)
    calls = count(1)

    def score(fitted: Pipeline, left_out: Floats, positive: NDArray[np.bool_]) -> float:
        """AUROC of one fold; the folds of the true labels come first."""
        done, fold = divmod(next(calls), folds)
        if fold == 0 and done > 1:
            progress(done - 1, permutations, "permutations")
        return score_auroc(fitted, left_out, positive)

    with warnings.catch_warnings(action="ignore"):  # a head that has not fully converged is evaluated like any other
        observed, null, _ = permutation_test_score(
            head,
            features,
            truth,
            cv=cv,
            n_permutations=permutations,
            scoring=score,
            random_state=seed,
            groups=None if exchange is None else exchange.strata,
        )
        scores = cross_val_predict(head, features, truth, cv=cv, method="decision_function")
    parts = [(truth[held], scores[held], held) for _, held in cv.split(features, truth)]
    low = high = None
    reason = ""
    try:
        _, low, high = mean_auroc_interval(parts)
    except EvaluationError as error:
        reason = str(error)
    figure = Figure(
        value=float(observed),
        low=low,
        high=high,
        n=len(truth),
        reason=reason,
        method=f"mean of {folds} folds by patient; influence of each patient (LeDell 2015), on the logit scale{WIDENED}",
    )
    return HeadResult(
        auroc=figure,
        null=null,
        p_value=permutation_p(observed, null),
        within="" if exchange is None else exchange.sentence,
    )


def build_head(components: int, nested: bool, seed: int) -> Pipeline:
    """Build the head: scaling, principal components and a logistic regression with a ridge penalty."""
    regression = LogisticRegression(C=PENALTY, solver="newton-cholesky", max_iter=50)
    inner = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    chosen = GridSearchCV(regression, {"C": PENALTIES}, scoring=score_auroc, cv=inner) if nested else regression
    return make_pipeline(StandardScaler(), PCA(components, svd_solver="full"), chosen)


def score_auroc(fitted: Pipeline | LogisticRegression, features: Floats, positive: NDArray[np.bool_]) -> float:
    """Return a head's AUROC on patients it was not fitted to; several times as fast as scikit-learn's scorer."""
    return float(auroc(positive, fitted.decision_function(features), np.ones((1, len(positive))))[0])


def fit_weights(features: Floats, labels: Integers) -> Floats:
    """Return the absolute weights (features,) of a head fitted to all patients; features are scaled first."""
    head = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=500)).fit(features, labels)
    weights: Floats = np.abs(head[-1].coef_[0])
    return weights
