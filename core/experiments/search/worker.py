"""A worker of a search: one trial after the other, until there are enough, somebody stops it, or nothing works.

``python -m core.experiments.search.worker FOLDER REPORT`` is a worker in a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
from optuna.trial import TrialState

from core.config import apply_settings
from core.errors import ConfigError, EvaluationError, MGMTLabError, RunBusyError, RunError
from core.experiments.search.search import Search, find_search
from core.experiments.search.space import sample_settings
from core.experiments.search.storage import heartbeat, storage_errors
from core.experiments.search.trial import train_trial
from core.experiments.search.trial_queue import claim_trial, first_number, register_worker, release_trial
from core.files import write_atomic
from core.jobs.experiment import Display
from core.jobs.member import Member
from core.runs.epoch_figures import corrected_validation_auroc
from core.runs.folder import RunFolder
from core.settings import Settings, load_settings

FAILURES = 3
"""So many failures of one worker one after the other: the configuration is not what is wrong."""
STOPPED = 130
"""Exit status of a worker that was stopped."""


def run_worker(search: Search, settings: Settings, *, trials: int, display: Display | None = None) -> None:
    """Train one trial after the other until there are `trials` of them; several workers may do so at once.

    Parameters
    ----------
    search, settings
        The search; where runs and the cache live, and how many threads this worker has.
    trials
        How many there are to be in all, those of earlier calls and other workers included.
    display
        Told of each epoch, and how each trial ended.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the trial that was cut off is resumed next time.
    MGMTLabError
        Something that no other configuration would put right, or three failures in a row.
    """
    display = display or Display()
    study = search.open_study(create=True)
    failures = 0
    with register_worker(search.folder) as worker:
        while True:
            if search.experiment.stop_file.exists():
                raise KeyboardInterrupt
            with storage_errors(search.place):
                trial = claim_trial(
                    study, search.folder, worker, trials=trials, shared=search.place.shared,
                    sampler=search.parameters.sampler, seed=search.parameters.seed,
                )  # fmt: skip
            if trial is None:
                return
            error = _run_trial(search, settings, study, trial, display)
            failures = failures + 1 if error else 0
            if error and failures >= FAILURES:
                raise error


def _run_trial(
    search: Search, settings: Settings, study: optuna.Study, trial: optuna.trial.Trial, display: Display
) -> MGMTLabError | None:
    """Train a trial and store how it ended; returns the error where it failed."""
    try:
        with storage_errors(search.place), heartbeat(study, search.place, trial):
            try:
                value = train_trial(
                    trial, _member(search, trial, settings), settings, display.on_epoch,
                    lambda: storage_errors(search.place),
                )  # fmt: skip
            except RunBusyError:
                raise
            except (ConfigError, RunError, EvaluationError) as error:
                trial.set_user_attr("reason", str(error))
                study.tell(trial, state=TrialState.FAIL)
                display.on_trial(trial.number, "failed")
                return error
            _store_figure(trial, RunFolder(settings.runs / trial.user_attrs["run"]))
            study.tell(trial, value, TrialState.PRUNED if value is None else TrialState.COMPLETE)
        display.on_trial(trial.number, "pruned" if value is None else "finished")
    except BaseException:
        with storage_errors(search.place):
            release_trial(study, search.folder, trial.number)
        raise
    return None


def _member(search: Search, trial: optuna.trial.Trial, settings: Settings) -> Member:
    """The trial's run; a trial that was queued again keeps the run of its first number."""
    first = first_number(trial)
    name = f"{search.name}-{first:03d}"
    trial.set_user_attr("run", name)
    return Member(
        folder=settings.runs / name,
        config=apply_settings(search.config, sample_settings(trial, search.space)),
        source=search.source,
        split=search.split,
        stop_file=search.experiment.stop_file,
        note=f"Trial {first} of the search {search.name}.",
    )


def _store_figure(trial: optuna.trial.Trial, run: RunFolder) -> None:
    """Keep with the trial what other hosts, which lack the run, want to know of it."""
    trial.set_user_attr("auroc", corrected_validation_auroc(run).to_dict())
    best = next((record for record in reversed(run.epochs()) if record.best), None)
    trial.set_user_attr("best_epoch", run.status().best_epoch)
    trial.set_user_attr("val_loss", best.val_loss if best else None)


def main(arguments: list[str]) -> int:
    """Be one worker: the search's folder, and the file for the error that ends it, if one does."""
    folder, report = map(Path, arguments)
    settings = load_settings()

    def say(number: int, outcome: str) -> None:
        print(f"trial {number} {outcome}", file=sys.stderr, flush=True)

    try:
        search = find_search(settings, folder.name)
        run_worker(search, settings, trials=search.wanted, display=Display(on_trial=say))
    except KeyboardInterrupt:
        return STOPPED
    except MGMTLabError as error:
        write_atomic(report, str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
