"""A search over settings: many runs on one split, compared on the validation patients; the test patients stand in none.

A search is a folder below ``settings.experiments``: question.json (what is searched), split.json (who is in which
part), the journal of trials unless a database holds them, result.json at the end. Its trials are ordinary runs. It
goes on where it was cut off with the same command, and the same command given a second time at once adds a worker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.config import RunConfig, is_same_config, parse_config
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import ConfigError, RunError
from core.experiments.search.space import Parameter, check_space, parse_space
from core.experiments.search.storage import StudyPlace, open_study, read_place, speaking
from core.experiments.search.trial import direction_of
from core.files import write_atomic
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import NAME_PATTERN, now, with_absolute_paths
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import Settings

if TYPE_CHECKING:
    import optuna


QUESTION = "question.json"
WANTED = "trials.txt"
"""How many trials were asked for last."""
STARTUP_TRIALS = 4
"""Finished trials before any is pruned."""
NOBODY = Split(train=(), val=(), test=(), unit="patient", seed=0, cohort_digest="")
"""The split of a search whose patients have not been split yet."""


class SearchParameters(BaseModel):
    """How a search goes about it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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
    """A search that was opened."""

    folder: Path
    config: RunConfig
    source: DataSource
    parameters: SearchParameters
    split: Split
    place: StudyPlace = field(repr=False)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def space(self) -> tuple[Parameter, ...]:
        """What is varied."""
        return parse_space(self.parameters.space)

    def open_study(self, *, create: bool = False) -> optuna.Study:
        """Open the study that holds the trials; raises StorageError where it cannot be reached or is not there."""
        return open_study(
            self.place, direction_of(self.config), create=create, pruner=_make_pruner(self.parameters, self.config)
        )


def open_search(
    settings: Settings,
    name: str,
    config: RunConfig,
    source: DataSource,
    parameters: SearchParameters,
    *,
    storage: str = "",
    progress: Progress = silent,
) -> Search:
    """Make a search's folder with its question and its one split, or open the one that is there.

    Parameters
    ----------
    settings, name
        Where searches live; this one's name.
    config, source
        What the values are set in; the data.
    parameters
        What is varied, and how; its `storage` is taken from the next one.
    storage
        URL of a shared database, with or without its password (:func:`read_place`).
    progress
        Called while the data are prepared.

    Raises
    ------
    ConfigError
        The name, the space or the split cannot be used, or the name is another search's.
    StorageError
        The database cannot be reached.
    MGMTLabError
        The data cannot be read or split.
    """
    check_name(name)
    if config.split.split_unit != "patient":
        raise ConfigError(
            "A search chooses on validation patients, and a split by slice has none that training has not seen; add "
            "--set split_unit=patient."
        )
    check_space(config, parse_space(parameters.space), pruned=parameters.pruner != "none")
    place = read_place(name, settings.experiments / name, storage)
    parameters = parameters.model_copy(update={"storage": place.url})
    config, source = with_absolute_paths(config, source)
    config = _write_question(place.folder / QUESTION, config, source, parameters)
    split = _settle_split(place.folder, settings, config, source, progress)
    search = Search(folder=place.folder, config=config, source=source, parameters=parameters, split=split, place=place)
    _agree(search)
    return search


def check_name(name: str) -> None:
    """Raise ConfigError where a search cannot be called so."""
    if not NAME_PATTERN.fullmatch(name) or len(name) > 60:
        raise ConfigError(f"{name!r} cannot name a search; use up to 60 letters, digits, dots, dashes and underscores.")


def find_search(settings: Settings, name: str, *, storage: str = "", unsplit: bool = False) -> Search:
    """Open a search by its name; `storage` gives the URL with its password where the environment has none.

    With `unsplit` one that was cut off before its patients were split is found, too, its split empty.

    Raises
    ------
    RunError
        There is none, or its files are damaged.
    """
    known = [path.parent.name for path in settings.experiments.glob(f"*/{QUESTION}") if _kind(path) == "search"]
    if name not in known:
        there = f"there are: {', '.join(sorted(known))}" if known else "there is none yet"
        raise RunError(f"There is no search {name!r}; {there}.")
    folder = settings.experiments / name
    try:
        question = json.loads((folder / QUESTION).read_text())
        parameters = SearchParameters(**question["parameters"])
        config, source = parse_config(question["config"]), DataSource(**question["source"])
        drawn = (folder / "split.json").exists() or not unsplit
        split = Split.from_json((folder / "split.json").read_text()) if drawn else NOBODY
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise RunError(
            f"{folder} is damaged or was never begun ({type(error).__name__}); start the search anew."
        ) from error
    place = read_place(name, folder, storage or parameters.storage)
    return Search(folder=folder, config=config, source=source, parameters=parameters, split=split, place=place)


def _make_pruner(parameters: SearchParameters, config: RunConfig) -> optuna.pruners.BasePruner:
    import optuna

    if parameters.pruner == "none":
        return optuna.pruners.NopPruner()
    # A fifth of the epochs is warm-up: the first ones say little.
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=max(1, config.epochs // 5))


def _settle_split(folder: Path, settings: Settings, config: RunConfig, source: DataSource, progress: Progress) -> Split:
    """Draw the one split of all trials, or read the one that was drawn; the data must still be the same."""
    cohort = open_cohort(source, progress, settings)
    path = folder / "split.json"
    if path.exists():
        split = Split.from_json(path.read_text())
        if split.cohort_digest == cohort.digest:
            return split
        raise ConfigError(
            f"{cohort.root} is no longer what {folder.name} was split on (digest {cohort.digest}, then "
            f"{split.cohort_digest}); restore the data, or choose another name with --name."
        )
    split = make_split(build_table(cohort, config.prep, settings, progress=progress), config.split, cohort.digest)
    write_atomic(path, split.to_json())
    return split


def _write_question(path: Path, config: RunConfig, source: DataSource, parameters: SearchParameters) -> RunConfig:
    """Write the question down, or make sure that the one that is there is the same; return its configuration."""
    question = {
        "kind": "search",
        "parameters": parameters.model_dump(mode="json"),
        "config": config.model_dump(mode="json"),
        "source": source.model_dump(mode="json"),
    }
    if not path.exists():
        write_atomic(path, json.dumps({**question, "created": now()}, indent=1))
        return config
    known = json.loads(path.read_text())
    # Read through the configuration, so that a setting which is newer than the question has its default.
    same = all(known.get(key) == question[key] for key in ("kind", "parameters", "source")) and is_same_config(
        known["config"], config
    )
    if not same:
        raise ConfigError(f"{path.parent.name} asked another question; choose another name with --name.")
    return parse_config(known["config"])


def _agree(search: Search) -> None:
    """Make sure that all workers of a study, of whatever host, search the same thing on the same patients."""
    ours: dict[str, Any] = {
        "config": search.config.model_dump(mode="json"),
        "parameters": search.parameters.model_dump(mode="json", exclude={"storage"}),
        "split": [search.split.cohort_digest, search.split.digest],
    }
    study = search.open_study(create=True)
    with speaking(search.place), hold_lock(search.folder / ".claim.lock", "The search is busy; try again.", 30.0):
        stored = study.user_attrs.get("question")
        theirs: dict[str, Any] = ours if stored is None else json.loads(stored)
        if stored is None:
            study.set_user_attr("question", json.dumps(ours, sort_keys=True))
        elif {**theirs, "config": None} != {**ours, "config": None} or not is_same_config(
            theirs["config"], search.config
        ):
            raise ConfigError(
                f"The study {search.name} in {search.place.url or search.folder} searches something else, or other "
                "patients; choose another name with --name."
            )


def _kind(path: Path) -> str:
    try:
        return str(json.loads(path.read_text()).get("kind", ""))
    except (OSError, ValueError, AttributeError):
        return ""
