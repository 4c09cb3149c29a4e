"""A worker of a search: one trial after the other, until there are enough, somebody stops it, or nothing works."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.config import apply_settings
from core.errors import ConfigError, EvaluationError, MGMTLabError, RunBusyError, RunError
from core.experiments.search.claim import at_work, claim_trial, hand_back
from core.experiments.search.search import Search
from core.experiments.search.space import sample_settings
from core.experiments.search.storage import beating, speaking
from core.experiments.search.trial import TrialPlan, best_figure, train_trial
from core.jobs.foreground import STOP
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.settings import Settings

if TYPE_CHECKING:
    import optuna


FAILURES = 3
"""So many failures of one worker one after the other: what is wrong is not the configuration."""


def run_worker(
    search: Search,
    settings: Settings,
    *,
    trials: int,
    on_trial: Callable[[int, str], None] = lambda number, how: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> None:
    """Train one trial after the other until there are `trials` of them; several workers may do so at once.

    Parameters
    ----------
    search, settings
        The search; where runs and the cache live, and how many threads this worker has.
    trials
        How many there are to be in all, those of earlier calls and other workers included.
    on_trial
        Called with a trial's number and how it ended: "finished", "pruned" or "failed".
    on_epoch
        Called with each epoch.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the trial that was cut off is taken up next time.
    MGMTLabError
        Something that no other configuration would put right, or three failures in a row.
    """
    study = search.open_study(create=True)
    failures = 0
    with at_work(search.folder) as worker:
        while True:
            if (search.folder / STOP).exists():
                raise KeyboardInterrupt
            with speaking(search.place):
                trial = claim_trial(
                    study, search.folder, worker, trials=trials, shared=search.place.shared,
                    sampler=search.parameters.sampler, seed=search.parameters.seed,
                )  # fmt: skip
            if trial is None:
                return
            error = _conduct(search, settings, study, trial, on_trial, on_epoch)
            failures = failures + 1 if error else 0
            if error and failures >= FAILURES:
                raise error


def _conduct(
    search: Search,
    settings: Settings,
    study: optuna.Study,
    trial: optuna.trial.Trial,
    on_trial: Callable[[int, str], None],
    on_epoch: Callable[[EpochRecord], None],
) -> MGMTLabError | None:
    """Train a trial and write down how it ended; returns the error where it failed."""
    import optuna

    state = optuna.trial.TrialState
    try:
        with speaking(search.place), beating(study, search.place, trial):
            try:
                plan = _plan(search, trial)
                value = train_trial(trial, plan, settings, on_epoch, lambda: speaking(search.place))
            except RunBusyError:
                raise
            except (ConfigError, RunError, EvaluationError) as error:
                trial.set_user_attr("reason", str(error))
                study.tell(trial, state=state.FAIL)
                on_trial(trial.number, "failed")
                return error
            _note_figure(trial, RunFolder(settings.runs / trial.user_attrs["run"]))
            study.tell(trial, value, state.PRUNED if value is None else state.COMPLETE)
        on_trial(trial.number, "pruned" if value is None else "finished")
    except BaseException:
        with speaking(search.place):
            hand_back(study, search.folder, trial.number)
        raise
    return None


def _plan(search: Search, trial: optuna.trial.Trial) -> TrialPlan:
    """The trial's run; a trial that takes another one up has that one's."""
    first = trial.user_attrs.get("replaces", [trial.number])[0]
    name = f"{search.name}-{first:03d}"
    trial.set_user_attr("run", name)
    config = apply_settings(search.config, sample_settings(trial, search.space))
    note = f"Trial {first} of the search {search.name}."
    return TrialPlan(run=name, config=config, source=search.source, split=search.split, note=note)


def _note_figure(trial: optuna.trial.Trial, run: RunFolder) -> None:
    """Keep with the trial what other hosts, which lack the run, want to know of it."""
    trial.set_user_attr("auroc", best_figure(run).to_dict())
    trial.set_user_attr("best_epoch", run.status().best_epoch)
