"""A search over settings: many runs on one split, compared on the validation patients; the test patients stand in none.

A search is an experiment (:mod:`core.jobs.experiment`) with one split for all trials, and the journal of the trials in
its folder unless a database holds them. Its trials are ordinary runs. The same command resumes it, and given a second
time at once it adds a worker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.config import RunConfig, is_same_config
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import ConfigError, RunError
from core.experiments.search.space import Parameter, check_space, parse_space
from core.experiments.search.storage import StudyPlace, open_study, read_place, storage_errors
from core.experiments.search.trial import direction_of
from core.files import parse_document
from core.jobs.experiment import Experiment, Question, list_experiments, make_question
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import NAME_PATTERN
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import Settings

KIND = "search"
STARTUP_TRIALS = 4
"""Finished trials before any is pruned."""


class SearchParameters(BaseModel):
    """How a search goes about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: tuple[str, ...]
    """The settings and their values, see :func:`core.experiments.search.space.parse_space`."""
    sampler: Literal["tpe", "random"] = "tpe"
    """'tpe' learns from the trials that ended (after ten random ones), 'random' does not."""
    pruner: Literal["median", "none"] = "median"
    """'median' ends a trial whose best epoch so far is below the median of the finished trials at that epoch."""
    seed: int = Field(default=0, ge=0)
    """Of the sampler."""
    storage: str = ""
    """URL of a shared database without its password; empty for the journal in the search's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search whose patients have been split."""

    experiment: Experiment
    question: Question
    parameters: SearchParameters
    split: Split
    place: StudyPlace = field(repr=False)

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.experiment.name

    @property
    def folder(self) -> Path:
        """The experiment's folder."""
        return self.experiment.folder

    @property
    def config(self) -> RunConfig:
        """What the values are set in."""
        return self.question.config

    @property
    def source(self) -> DataSource:
        """The data."""
        return self.question.source

    @property
    def space(self) -> tuple[Parameter, ...]:
        """What is varied."""
        return parse_space(self.parameters.space)

    @property
    def wanted(self) -> int:
        """How many trials were asked for last; 0 where that is not known."""
        return self.experiment.options().count or 0

    def open_study(self, *, create: bool = False) -> optuna.Study:
        """Open the study that holds the trials; raises StorageError where it cannot be reached or is not there."""
        return open_study(
            self.place, direction_of(self.config), create=create, pruner=_make_pruner(self.parameters, self.config)
        )


def ask_search(
    name: str, config: RunConfig, source: DataSource, parameters: SearchParameters, *, storage: str = ""
) -> Question:
    """Return a search's question, checked, its storage without the password.

    Parameters
    ----------
    name
        Of the search, and of its runs.
    config, source
        What the values are set in; the data.
    parameters
        What is varied, and how; its `storage` is taken from the next one.
    storage
        URL of a shared database, with or without its password (:func:`read_place`).

    Raises
    ------
    ConfigError
        The name, the space, the split or the storage cannot be used.
    """
    if not NAME_PATTERN.fullmatch(name) or len(name) > 60:
        raise ConfigError(f"{name!r} cannot name a search; use up to 60 letters, digits, dots, dashes and underscores.")
    if config.split.split_unit != "patient":
        raise ConfigError(
            "A search chooses on validation patients, and a split by slice has none that training has not seen; add "
            "--set split_unit=patient."
        )
    check_space(config, parse_space(parameters.space), pruned=parameters.pruner != "none")
    url = read_place(name, Path(), storage).url
    return make_question(KIND, parameters.model_copy(update={"storage": url}), config, source)


def open_search(
    experiment: Experiment, settings: Settings, *, storage: str = "", progress: Progress = silent
) -> Search:
    """Draw the one split of all trials, or read the one that was drawn, and make the study where it is missing.

    Parameters
    ----------
    experiment, settings
        The search's experiment; where the cache lives.
    storage
        The storage's URL with its password, where the environment has none.
    progress
        Called while the data are prepared.

    Raises
    ------
    ConfigError
        The data have changed, or the study belongs to another search.
    StorageError
        The database cannot be reached.
    MGMTLabError
        The data cannot be read or split.
    """
    question = experiment.question()
    cohort = open_cohort(question.source, progress, settings)
    split = experiment.split()
    if split is None:
        table = build_table(cohort, question.config.prep, settings, progress=progress)
        split = make_split(table, question.config.split, cohort.digest)
        experiment.write_split(split)
    if split.cohort_digest != cohort.digest:
        raise ConfigError(
            f"{cohort.root} is no longer what {experiment.name} was split on (digest {cohort.digest}, then "
            f"{split.cohort_digest}); restore the data, or choose another name with --name."
        )
    search = _build_search(experiment, split, storage)
    _require_same_study(search)
    return search


def find_search(settings: Settings, name: str, *, storage: str = "") -> Search:
    """Open a search by its name; `storage` gives the URL with its password where the environment has none.

    Raises
    ------
    RunError
        There is none, its files are damaged, or its patients have not been split yet.
    """
    known = {experiment.name: experiment for experiment in list_experiments(settings, KIND)}
    if name not in known:
        there = f"there are: {', '.join(sorted(known))}" if known else "there is none yet"
        raise RunError(f"There is no search {name!r}; {there}.")
    split = known[name].split()
    if split is None:
        raise RunError(f"{name} ended before its patients were split; start the search again.")
    return _build_search(known[name], split, storage)


def _build_search(experiment: Experiment, split: Split, storage: str) -> Search:
    question = experiment.question()
    try:
        parameters = SearchParameters(**question.parameters)
    except (ValidationError, TypeError) as error:
        raise RunError(f"{experiment.folder} is damaged ({type(error).__name__}); start the search anew.") from error
    place = read_place(experiment.name, experiment.folder, storage or parameters.storage)
    return Search(experiment=experiment, question=question, parameters=parameters, split=split, place=place)


def _make_pruner(parameters: SearchParameters, config: RunConfig) -> optuna.pruners.BasePruner:
    if parameters.pruner == "none":
        return optuna.pruners.NopPruner()
    # A fifth of the epochs is warm-up: the first ones say little.
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=max(1, config.epochs // 5))


def _require_same_study(search: Search) -> None:
    """Make sure that all workers of a study, of whatever host, search the same thing on the same patients."""
    ours: dict[str, Any] = {
        "config": search.config.model_dump(mode="json"),
        "parameters": search.parameters.model_dump(mode="json", exclude={"storage"}),
        "split": [search.split.cohort_digest, search.split.digest],
    }
    study = search.open_study(create=True)
    with storage_errors(search.place), hold_lock(search.folder / ".claim.lock", "The search is busy; try again.", 30.0):
        stored = study.user_attrs.get("question")
        theirs: dict[str, Any] = ours if stored is None else parse_document(stored)
        if stored is None:
            study.set_user_attr("question", json.dumps(ours, sort_keys=True))
        elif {**theirs, "config": None} != {**ours, "config": None} or not is_same_config(
            theirs["config"], search.config
        ):
            raise ConfigError(
                f"The study {search.name} in {search.place.url or search.folder} searches something else, or other "
                "patients; choose another name with --name."
            )
