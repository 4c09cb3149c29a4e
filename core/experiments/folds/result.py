"""What a cross-validation found: who won inside each fold, what the fold said of the winner, and all folds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.data.study import Cohort
from core.errors import MGMTLabError
from core.evaluation.figure import ESTIMANDS, Figure
from core.evaluation.folds import LEFT_OUT, FoldPredictions, evaluate_fold, evaluate_folds
from core.evaluation.unpaired import mean_under_dependence
from core.figure_text import figure_text
from core.models.card import ENSEMBLE, read_card
from core.models.ensemble import write_ensemble
from core.parallel import on_cluster, run_tasks
from core.runs.evaluation import Evaluation, read_evaluation
from core.runs.folder import RunFolder
from core.settings import Settings
from core.training.evaluate import evaluate_run

if TYPE_CHECKING:
    from core.experiments.folds.cross_validation import FoldMember


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The candidate that did best inside, for one fold."""

    seed: int
    fold: int
    candidate: int
    run: RunFolder
    """The member that is evaluated: the winner's first inner split."""
    inner: tuple[Figure, ...]
    """Each candidate's AUROC by patient on the inner validation patients, averaged over the inner folds."""


def choose_winners(members: Sequence[FoldMember]) -> list[Winner]:
    """Choose each fold's candidate by the inner validation patients' AUROC; of equals the first stays.

    Reads the members' cards alone: nothing of the fold itself is known here.
    """
    groups: dict[tuple[int, int], dict[int, list[FoldMember]]] = {}
    for member in members:
        groups.setdefault((member.seed, member.fold), {}).setdefault(member.candidate, []).append(member)
    winners = []
    for (seed, fold), candidates in groups.items():
        inner = [_average([_inner_auroc(member) for member in candidates[number]]) for number in sorted(candidates)]
        best = max(range(len(inner)), key=lambda place: (_selection_score(inner[place]), -place))
        candidate = sorted(candidates)[best]
        winners.append(
            Winner(
                seed=seed, fold=fold, candidate=candidate, run=candidates[candidate][0].run, inner=tuple(inner)
            )
        )  # fmt: skip
    return winners


def evaluate_winners(
    experiment: str, members: Sequence[FoldMember], settings: Settings, *, jobs: int = 1
) -> list[tuple[Winner, Evaluation]]:
    """Evaluate each fold's winner on its fold: once, written into the ledger; what was evaluated before is read.

    Raises
    ------
    EvaluationError
        The data have changed since the folds were drawn.
    """
    winners = choose_winners(members)
    jobs = min(jobs, len(winners))
    each = settings if jobs == 1 and not on_cluster() else replace(settings, threads=max(1, settings.threads // jobs))
    tasks = [(winner.run, f"{experiment}, seed {winner.seed}", each) for winner in winners]
    for _ in run_tasks(_evaluate_once, tasks, jobs=jobs, ordered=False):
        pass
    evaluated = []
    for winner in winners:
        evaluation = read_evaluation(winner.run, "test")
        assert evaluation is not None, "it was evaluated a moment ago"
        evaluated.append((winner, evaluation))
    return evaluated


def summarise_folds(
    folder: Path,
    members: Sequence[FoldMember],
    evaluated: Sequence[tuple[Winner, Evaluation]],
    choices: Sequence[dict[str, str]],
    cohort: Cohort,
) -> dict[str, Any]:
    """Put everything together and write the ensemble.

    Returns
    -------
    dict
        ``sentence``; ``patient`` (figures over all folds and repeats), ``by_seed``, ``spread`` (of the repeats' mean
        AUROCs) and ``folds`` (each with its figures, its winner and the candidates' inner AUROCs); ``candidates``;
        ``ensemble``, a file, or why there is none; ``left_out``, what the interval does not say.
    """
    names, positive = cohort.class_names, cohort.positive_class
    answers = [_answers(winner, evaluation) for winner, evaluation in evaluated]
    figures = evaluate_folds(answers, names, positive)
    seeds = sorted({one.seed for one in answers})
    by_seed = [
        {"seed": seed, **_plain(evaluate_folds([one for one in answers if one.seed == seed], names, positive))}
        for seed in seeds
    ]
    folds = [
        {
            "seed": winner.seed,
            "fold": winner.fold,
            "run": winner.run.name,
            "candidate": winner.candidate,
            "inner_auroc": [figure.value for figure in winner.inner],
            "inner": [figure.to_dict() for figure in winner.inner],
            "epoch": evaluation.epoch,
            "threshold": evaluation.threshold,
            "temperature": evaluation.temperature,
            "looked_at": evaluation.looked_at,
            "patients": len(one.patients),
            "positive": int((one.labels == positive).sum()),
            **_plain(evaluate_fold(one, names, positive)),
        }
        for (winner, evaluation), one in zip(evaluated, answers, strict=True)
    ]
    wins = [sum(winner.candidate == number for winner, _ in evaluated) for number in range(1, len(choices) + 1)]
    result = {
        "design": "nested" if len(choices) > 1 else "plain",
        "sentence": _sentence(figures, folds, by_seed, wins, cohort),
        "patient": _plain(figures),
        "by_seed": by_seed,
        "spread": _spread([one["auroc"]["value"] for one in by_seed]),
        "folds": folds,
        "candidates": [
            {"number": number, "choices": dict(chosen), "wins": count}
            for number, (chosen, count) in enumerate(zip(choices, wins, strict=True), start=1)
        ],
        "trainings": len(members),
        "class_names": list(names),
        "positive_class": positive,
        "synthetic": cohort.synthetic,
        "left_out": LEFT_OUT,
        "estimand": ESTIMANDS["folds"],
    }
    return result | _ensemble(folder, evaluated, figures)


def _evaluate_once(run: RunFolder, partition: str, settings: Settings) -> None:
    if read_evaluation(run, "test") is None:
        torch.set_num_threads(settings.threads)
        evaluate_run(run, "test", settings, partition=partition)


def _answers(winner: Winner, evaluation: Evaluation) -> FoldPredictions:
    return FoldPredictions(
        seed=winner.seed,
        fold=winner.fold,
        patients=evaluation.patient_ids,
        labels=evaluation.patient_labels,
        logits=evaluation.patient_logits,
        threshold=evaluation.threshold,
        temperature=evaluation.temperature,
    )


def _inner_auroc(member: FoldMember) -> Figure:
    figures = read_card(member.run.checkpoint).metrics.get("val", {}).get("patient", {})
    return Figure(**figures["auroc"]) if "auroc" in figures else Figure(value=None, low=None, high=None, n=0)


def _average(figures: Sequence[Figure]) -> Figure:
    """Over the inner folds that have a value; n is all their patients."""
    known = [figure for figure in figures if figure.value is not None]
    n = sum(figure.n for figure in known)
    if not known:
        return Figure(value=None, low=None, high=None, n=n, reason="no inner fold has both classes")
    return replace(mean_under_dependence(known), n=n) if len(known) > 1 else known[0]


def _selection_score(figure: Figure) -> float:
    return -np.inf if figure.value is None else figure.value


def _plain(figures: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.to_dict() for name, figure in figures.items()}


def _spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    """How far the repeats' mean AUROCs lie apart; None for one repeat."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if len(known) < 2:
        return None
    return {"n": len(known), "low": float(known.min()), "high": float(known.max()), "sd": float(known.std(ddof=1))}


def _sentence(
    figures: dict[str, Figure],
    folds: list[dict[str, Any]],
    by_seed: list[dict[str, Any]],
    wins: list[int],
    cohort: Cohort,
) -> str:
    auroc, count = figures["auroc"], len(folds) // len(by_seed)
    who = f"{'synthetic ' if cohort.synthetic else ''}patients"
    text = (
        f"AUROC by patient within folds, averaged over {count} folds, with its 95% interval: {figure_text(auroc, who)}, each "
        "evaluated by a network that never saw it."
    )
    spread = _spread([one["auroc"]["value"] for one in by_seed])
    if spread is not None:
        text += f" Over {spread['n']} seeds the mean lay between {spread['low']:.3f} and {spread['high']:.3f}."
    if len(wins) > 1:
        won = ", ".join(f"candidate {number} {count} times" for number, count in enumerate(wins, start=1) if count)
        text += f" Nested: of {len(wins)} candidates the inner validation chose {won}."
    return text


def _ensemble(
    folder: Path, evaluated: Sequence[tuple[Winner, Evaluation]], figures: dict[str, Figure]
) -> dict[str, Any]:
    """Write the ensemble of the evaluated networks, or say why they cannot answer together."""
    paths = [winner.run.checkpoint for winner, _ in evaluated]
    try:
        write_ensemble(
            folder / ENSEMBLE, paths, name=folder.name, figures={key: asdict(one) for key, one in figures.items()}
        )
    except MGMTLabError as error:
        return {"ensemble": None, "no_ensemble": str(error)}
    return {"ensemble": str(folder / ENSEMBLE), "no_ensemble": ""}
