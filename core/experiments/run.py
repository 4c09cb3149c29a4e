"""Answer the question of an experiment: train the members that are missing, evaluate them, and keep the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import ConfigError
from core.evaluation.figure import estimand_of
from core.experiments.controls import optimism, permutation, robustness_question, specification
from core.experiments.controls.measurements import RESULTS, measure
from core.experiments.controls.retrain import measure_optimism, measure_specification, permute_labels
from core.experiments.controls.robustness import measure_robustness
from core.experiments.external.evaluate import evaluate_externally
from core.experiments.external.leave_out import leave_one_out
from core.experiments.external.parameters import EXTERNAL, LEAVE_OUT
from core.experiments.folds import candidates
from core.experiments.folds.cross_validation import cross_validate
from core.experiments.search import search
from core.experiments.search.run_search import run_search
from core.experiments.study import parameters as study
from core.experiments.study import positive
from core.experiments.study.study import conduct_study
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.settings import Settings

Conduct = Callable[[Experiment, Question, RunOptions, Settings, Display], dict[str, Any]]

KINDS: dict[str, Conduct] = {
    optimism.KIND: measure_optimism,
    specification.KIND: measure_specification,
    permutation.KIND: permute_labels,
    candidates.KIND: cross_validate,
    search.KIND: run_search,
    EXTERNAL: evaluate_externally,
    LEAVE_OUT: leave_one_out,
    study.POSITIVE: positive.control_positively,
    robustness_question.KIND: measure_robustness,
    study.KIND: conduct_study,
    **dict.fromkeys(RESULTS, measure),
}
"""How each kind of question is answered."""


def run_experiment(
    experiment: Experiment,
    settings: Settings,
    options: RunOptions,
    display: Display | None = None,
    *,
    behind_queue: bool = False,
) -> dict[str, Any]:
    """Answer an experiment's question in this process, or resume the answer, and return what is in its result.json.

    Parameters
    ----------
    experiment, settings
        What is asked; where runs and the cache live.
    options
        How it is answered.
    display
        Told how far it is.
    behind_queue
        Wait until the queue of runs is empty, and let no queued run begin meanwhile.

    Raises
    ------
    KeyboardInterrupt
        Somebody stopped it; the same call resumes it.
    RunBusyError
        Another process works on it.
    ConfigError
        There is no such kind of question.
    MGMTLabError
        What kept it from being answered.
    """
    question = experiment.question()
    if question.kind not in KINDS:
        raise ConfigError(f"{experiment.folder} asks {question.kind!r}; it can be one of: {', '.join(KINDS)}.")
    with experiment.work(settings, behind_queue=behind_queue, shared=question.kind == search.KIND):
        experiment.write_options(options)
        found = KINDS[question.kind](experiment, question, options, settings, display or Display())
        result = {**found, "estimand": estimand_of(question.kind)}
        experiment.write_result(result)
    return result
