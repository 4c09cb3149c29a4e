"""The twin run: one configuration trained twice, with and without siblings of the evaluated slices in training.

Everything else is the same: network, initial weights, number of training slices of each class, the slices that choose
the epoch and the slices that are evaluated (:mod:`core.experiments.twin.split`). The arm with siblings has also seen more
heads, with fewer slices of each. What that is worth a third arm would tell, with strangers' slices in the siblings' place; there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dataset.predictions import name_patients
from core.errors import EvaluationError, RunError
from core.evaluation.aggregate import log_odds
from core.evaluation.figure import Figure, estimand_of
from core.evaluation.figures import predict_classes
from core.evaluation.metrics import auroc
from core.evaluation.paired import auroc_difference, mean_difference
from core.experiments.twin.pair import ARMS, Arm, TwinPair
from core.figure_text import value_text
from core.jobs.member import Member, train_member
from core.progress import Progress, silent
from core.runs.evaluation import Evaluation, evaluate_validation
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord, RunStatus
from core.settings import Settings
from core.training.evaluate import evaluate_run

MORE_HEADS = (
    "The first arm has also seen more heads, with fewer slices of each; what part of the difference that makes, this pair does "
    "not tell."
)
SHOWN = ("accuracy", "auroc", "majority_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwinResult:
    """Both arms on the same test slices."""

    evaluated: dict[Arm, Evaluation]
    validation: dict[Arm, Evaluation]
    """What the best epoch reached on the slices that chose it."""
    difference: dict[str, dict[str, Figure]]
    """Slice split less patient split on the same slices, by level and figure; paired, intervals over patients."""
    siblings: int
    trained_on: int
    """Slices in training, in either arm."""
    shuffle_seed: int | None

    @property
    def sentence(self) -> str:
        """Both figures, their intervals and the difference, for a person."""
        slice_arm, patient_arm = (self.evaluated[arm].slice["accuracy"] for arm in ARMS)
        patients = len(self.evaluated["slice_split"].patient_ids)
        labels = "shuffled among the patients" if self.shuffle_seed is not None else "the true ones"
        return (
            f"On the same {slice_arm.n} test slices of {patients} patients, with {self.trained_on} training slices each, the "
            f"same network is right for {value_text(slice_arm)} of the slices when siblings of them are in training, and for "
            f"{value_text(patient_arm)} when none is: a difference of {value_text(self.difference['slice']['accuracy'])}. "
            f"The labels are {labels}; intervals (95%) are over patients. {MORE_HEADS}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As ``twin --json`` prints it."""
        return {
            "slice_split": _levels(self.evaluated["slice_split"]),
            "patient_split": _levels(self.evaluated["patient_split"]),
            "difference": {
                level: {name: figure.to_dict() for name, figure in figures.items()}
                for level, figures in self.difference.items()
            },
            "validation": {arm: _levels(evaluation, SHOWN) for arm, evaluation in self.validation.items()},
            "sentence": self.sentence,
            "estimand": estimand_of("twin"),
            "labels": "shuffled" if self.shuffle_seed is not None else "true",
            "shuffle_seed": self.shuffle_seed,
            "trained_on": self.trained_on,
            "siblings": self.siblings,
            "judged_slices": len(self.evaluated["slice_split"].frame),
            "judged_patients": len(self.evaluated["slice_split"].patient_ids),
            "looked_at": {arm: evaluation.looked_at for arm, evaluation in self.evaluated.items()},
            "epochs": {arm: evaluation.epoch for arm, evaluation in self.evaluated.items()},
            "synthetic": self.evaluated["slice_split"].synthetic,
        }


def train_pair(
    pair: TwinPair,
    settings: Settings,
    *,
    on_status: Callable[[RunStatus], None] = lambda status: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> bool:
    """Train both arms in this process, from where they stand; False where one was stopped on request."""
    for run in pair.runs.values():
        member = Member(folder=run.path, config=run.config, source=run.source)
        if train_member(member, settings, on_status, on_epoch).state != "finished":
            return False
    return True


def evaluate_pair(pair: TwinPair, settings: Settings, progress: Progress = silent) -> TwinResult:
    """Compare the trained arms on their test slices and keep the result; each call is one evaluation of the test patients.

    Raises
    ------
    RunError
        An arm is not trained yet.
    """
    if not pair.finished:
        raise RunError(f"{pair.name} is not trained yet; wait for both arms, or resume the one that stopped.")
    result = compare_twins(pair.runs, settings, siblings=pair.siblings, trained_on=pair.trained_on, progress=progress)
    pair.experiment.write_result(result.to_dict())
    return result


def compare_twins(
    runs: dict[Arm, RunFolder],
    settings: Settings,
    *,
    siblings: int,
    trained_on: int,
    progress: Progress = silent,
) -> TwinResult:
    """Evaluate both arms' best weights on the test slices, which are the same; every evaluation is counted.

    Parameters
    ----------
    runs
        Both arms, trained.
    settings
        Where cache and ledger live.
    siblings, trained_on
        Siblings among the slices that the arm by slice was trained on, and how many slices either arm was trained on.
    progress
        Called with slices scored.

    Raises
    ------
    EvaluationError
        The arms were not evaluated on the same slices.
    """
    evaluated = {arm: evaluate_run(runs[arm], "test", settings, progress=progress) for arm in ARMS}
    ours, theirs = (evaluated[arm].frame.sort_values("key").reset_index(drop=True) for arm in ARMS)
    if not ours["key"].equals(theirs["key"]):
        raise EvaluationError(
            "The two arms were evaluated on different slices; delete the twin run and start it again."
        )
    return TwinResult(
        evaluated=evaluated,
        validation={arm: evaluate_validation(runs[arm]) for arm in ARMS},
        difference=_differences(evaluated),
        siblings=siblings,
        trained_on=trained_on,
        shuffle_seed=runs["slice_split"].source.shuffle_seed,
    )


def _differences(evaluated: dict[Arm, Evaluation]) -> dict[str, dict[str, Figure]]:
    first = evaluated["slice_split"]
    frames = {arm: evaluation.frame.sort_values("key") for arm, evaluation in evaluated.items()}
    columns = [f"logit_{index}" for index in range(len(first.class_names))]
    logits = [frames[arm][columns].to_numpy(np.float64) for arm in ARMS]
    labels, patients = frames["slice_split"]["label"].to_numpy(np.int64), name_patients(frames["slice_split"])
    by_patient = [evaluated[arm].patient_logits for arm in ARMS]
    return {
        "slice": _compare(evaluated, labels, logits, patients),
        "patient": _compare(evaluated, first.patient_labels, by_patient, first.patient_ids),
    }


def _compare(
    evaluated: dict[Arm, Evaluation],
    labels: NDArray[np.int64],
    logits: list[NDArray[np.float64]],
    patients: NDArray[np.str_],
) -> dict[str, Figure]:
    """Accuracy, at each arm's own threshold, and AUROC of the first arm less the second."""
    hits, odds = [], []
    for arm, scores in zip(ARMS, logits, strict=True):
        positive = evaluated[arm].positive_class
        options: dict[str, Any] = {"threshold": evaluated[arm].threshold, "temperature": evaluated[arm].temperature}
        predicted = predict_classes(scores, positive_class=positive, **options)
        hits.append((predicted == labels).astype(np.float64))
        odds.append(log_odds(scores, positive))
    accuracy = _or_alone(
        lambda: mean_difference(hits[0], hits[1], labels, patients), float((hits[0] - hits[1]).mean()), len(labels)
    )
    if logits[0].shape[1] != 2:
        return {"accuracy": accuracy}
    truth = labels == evaluated["slice_split"].positive_class
    areas = [float(auroc(truth, one, np.ones((1, len(truth))))[0]) for one in odds]
    return {
        "accuracy": accuracy,
        "auroc": _or_alone(
            lambda: auroc_difference(truth, odds[0], odds[1], patients), areas[0] - areas[1], len(labels)
        ),
    }


def _or_alone(compare: Callable[[], Figure], value: float, n: int) -> Figure:
    """The difference with its interval, or alone with the reason why it has none."""
    try:
        found = compare()
    except EvaluationError as error:
        return Figure(value=value if np.isfinite(value) else None, low=None, high=None, n=n, reason=str(error))
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))


def _levels(evaluation: Evaluation, names: Iterable[str] | None = None) -> dict[str, dict[str, dict[str, object]]]:
    chosen = tuple(names or evaluation.slice)
    return {
        "slice": {name: evaluation.slice[name].to_dict() for name in chosen},
        "patient": {name: evaluation.patient[name].to_dict() for name in chosen},
    }
