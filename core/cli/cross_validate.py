"""cross-validate: k folds by patient times s seeds, nested where candidates are compared; an ensemble of the folds."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import ValidationError

from core.cli.cohort import on_backend
from core.cli.config import read_config, read_source
from core.cli.output import Outcome, TerminalProgress, plain, table
from core.errors import ConfigError
from core.experiments.folds.candidates import KIND, CrossValidationParameters, list_candidates
from core.experiments.run import run_experiment
from core.figure_text import figure_text
from core.jobs.experiment import Display, Experiment, RunOptions, make_question
from core.settings import Settings


@on_backend
def cross_validate(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train what is missing, evaluate each fold once, and say what was found."""
    config, source = read_config(arguments), read_source(arguments)
    try:
        parameters = CrossValidationParameters(
            folds=arguments.folds,
            seeds=arguments.seeds,
            inner_folds=arguments.inner_folds,
            vary={words[0]: list(words[1:]) for words in arguments.vary},
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{'-'.join(map(str, first['loc'])).replace('_', '-')}: {first['msg']}.") from error
    list_candidates(config, parameters)
    experiment = Experiment.ask(settings, arguments.name, make_question(KIND, parameters, config, source))
    options, display = RunOptions(parallel=arguments.parallel), Display(progress=TerminalProgress)
    result = run_experiment(experiment, settings, options, display, behind_queue=arguments.behind_queue)
    folder = str(experiment.folder)
    return Outcome(document={"experiment": folder, **result}, lines=_describe(result, folder))


def _describe(result: dict[str, Any], folder: str) -> list[str]:
    header = ("seed", "fold", "candidate", "epoch", "AUROC", "low", "high", "accuracy", "bal. acc.", "Brier", "n")
    rows = [
        (
            fold["seed"],
            fold["fold"],
            fold["candidate"],
            fold["epoch"],
            *(fold["auroc"][key] for key in ("value", "low", "high")),
            *(fold[name]["value"] for name in ("accuracy", "balanced_accuracy", "brier")),
            fold["patients"],
        )
        for fold in result["folds"]
    ]
    lines = [plain(result["sentence"]), *table(rows, header)]
    for title, name in (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy"), ("Brier score", "brier")):
        lines.append(f"{title}, each patient by its own fold's threshold: {figure_text(result['patient'][name])}")
    if result["design"] == "nested":
        lines += [
            f"candidate {one['number']}: {', '.join(f'{name} {value}' for name, value in one['choices'].items())}; "
            f"chosen {one['wins']} times"
            for one in result["candidates"]
        ]
    name = folder.rpartition("/")[2]
    lines.append(result["left_out"])
    lines.append(
        f"Ask its ensemble: python -m core predict {name} SCAN" if result["ensemble"] else result["no_ensemble"]
    )
    return [plain(line) for line in [*lines, folder]]
