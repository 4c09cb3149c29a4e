"""twin and permute: controls that train again, with siblings or without, with true labels or shuffled ones."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from core.cli.cohort import read_cohort
from core.cli.config import read_config, read_source
from core.cli.output import INTERRUPTED, Outcome, TerminalProgress, note
from core.cli.parser import UsageError
from core.cli.train import TrainingDisplay
from core.experiments.controls.frozen import permute_frozen
from core.experiments.controls.permutation import KIND, RERUNS, PermutationParameters
from core.experiments.run import run_experiment
from core.experiments.twin.pair import plan_pair, queue_pair, read_result
from core.experiments.twin.result import evaluate_pair, train_pair
from core.figure_text import figure_text, p_text
from core.jobs.experiment import Display, Experiment, RunOptions, make_question
from core.runs.records import DataSource
from core.settings import Settings

FAST = 999
SMALLEST_SHARE, LARGEST_SHARE = 0.05, 0.9


def twin(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train both arms and compare them."""
    config, source = read_config(arguments), _shuffled(read_source(arguments), arguments.shuffle_labels)
    settings = replace(settings, threads=arguments.jobs or settings.threads)
    pair = plan_pair(
        settings,
        config,
        source,
        name=arguments.name,
        judged_share=arguments.judged_share,
        progress=TerminalProgress("preparing"),
    )
    names = ", ".join(run.name for run in pair.runs.values())
    if arguments.queue:
        queue_pair(pair, settings)
        document = {"pair": pair.name, "runs": {arm: str(run.path) for arm, run in pair.runs.items()}}
        return Outcome(document=document, lines=[f"In the queue: {names}."])
    note(f"{names}: {pair.trained_on} training slices each, {pair.siblings} of them siblings in the first.")
    display = TrainingDisplay(config.epochs)
    if not train_pair(pair, settings, on_status=display.show_status, on_epoch=display.show_epoch):
        line = f"Stopped. Resume it with the same command and --name {pair.name}."
        return Outcome(document={"pair": pair.name, "state": "stopped"}, lines=[line], exit_status=INTERRUPTED)
    found = read_result(pair) or evaluate_pair(pair, settings, TerminalProgress("test slices")).to_dict()
    return Outcome(document={"pair": pair.name, **found}, lines=_describe_twin(found))


def permute(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Test a configuration, or frozen features, against shuffled labels."""
    config = read_config(arguments)
    settings = replace(settings, threads=arguments.jobs or settings.threads)
    if arguments.fast:
        if arguments.name or arguments.parallel > 1:
            raise UsageError("--name and --parallel are about trainings; --fast trains nothing, leave them out.")
        found = permute_frozen(
            read_cohort(arguments, settings),
            settings,
            config,
            permutations=arguments.permutations or FAST,
            jobs=arguments.jobs,
            progress=TerminalProgress("shuffles"),
        ).to_dict()
    else:
        question = make_question(KIND, PermutationParameters(), config, read_source(arguments))
        experiment = Experiment.ask(settings, arguments.name or KIND, question)
        options = RunOptions(count=arguments.permutations or RERUNS, parallel=arguments.parallel)
        display = Display(progress=TerminalProgress)
        found = run_experiment(experiment, settings, options, display, behind_queue=arguments.behind_queue)
    return Outcome(document=found, lines=_describe_permutation(found))


def _shuffled(source: DataSource, seed: int | None) -> DataSource:
    return source if seed is None else source.model_copy(update={"shuffle_seed": seed})


def _describe_twin(found: dict[str, Any]) -> list[str]:
    titles = {"slice_split": "siblings in training", "patient_split": "no siblings in training"}
    lines = [found["sentence"]]
    for arm, title in titles.items():
        for level in ("slice", "patient"):
            figures = found[arm][level]
            lines.append(
                f"  {title}, by {level}: accuracy {figure_text(figures['accuracy'])}, AUROC {figure_text(figures['auroc'])}"
            )
    lines.append(f"  AUROC by patient, difference: {figure_text(found['difference']['patient']['auroc'])}")
    return lines


def _describe_permutation(found: dict[str, Any]) -> list[str]:
    what = (
        f"A linear head on frozen features ({found['backbone']}); nothing was trained but the head."
        if found["kind"] == "frozen features"
        else "Each shuffle was split, trained and selected anew; the figure is the best epoch's on validation patients."
    )
    null = found["null"]
    mean = sum(null) / len(null) if null else float("nan")
    return [
        what,
        f"Observed AUROC by patient: {figure_text(found['observed'])}",
        f"Labels shuffled by patient {found.get('within', '')}, {len(null)} times: mean {mean:.3f}, largest {max(null, default=0.0):.3f}",
        f"By (1 + b)/(1 + N): {p_text(found['p'])}",
    ]
