"""The queue of trials: a worker takes one that a dead or stopped worker left, else a new one until there are enough."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna

from core.runs.lock import hold_lock, is_locked

Sampler = Literal["tpe", "random"]

MOST_DEATHS = 3
"""A trial during which so many workers died is not tried again."""
CLAIM_SECONDS = 120.0
BUSY = "The search's other workers hold its lock for too long; give the same command again."


@contextmanager
def register_worker(folder: Path) -> Iterator[str]:
    """Hold a lock as one of a search's workers, and yield its name; a lock that is there but free is of a dead worker."""
    place = folder / "workers"
    place.mkdir(parents=True, exist_ok=True)
    name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    with hold_lock(place / f"{name}.lock", "Another worker has this name; try again."):
        yield name
        (place / f"{name}.lock").unlink(missing_ok=True)


def current_trials(trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """Return the trials without those that were queued again under another number."""
    replaced = _superseded(trials)
    return [trial for trial in trials if trial.number not in replaced]


def first_number(trial: optuna.trial.Trial) -> int:
    """The number that a trial had before it was queued again: it names its run and seeds what it draws."""
    return int(trial.user_attrs.get("replaces", [trial.number])[0])


def claim_trial(
    study: optuna.Study, folder: Path, worker: str, *, trials: int, shared: bool, sampler: Sampler, seed: int
) -> optuna.trial.Trial | None:
    """Take the next trial; None where as many as are wanted are done or being done.

    What it draws depends on the seed, the trial's first number and, for TPE, on which trials had finished by then: with one
    worker the same search gives the same trials, interrupted or not; with several, TPE depends on who was faster.
    Workers of different hosts on one database may take up to one trial more each.

    Parameters
    ----------
    study, folder
        The search's.
    worker
        From :func:`register_worker`.
    trials
        How many there are to be in all.
    shared
        The study lives in a database: workers whose lock is not in this folder may live elsewhere.
    sampler, seed
        How values are drawn.

    Raises
    ------
    RunBusyError
        The other workers hold the lock for too long.
    """
    with hold_lock(folder / ".claim.lock", BUSY, CLAIM_SECONDS):
        if shared:
            optuna.storages.fail_stale_trials(study)
        _requeue_dead_trials(study, folder, shared=shared)
        known = current_trials(study.get_trials(deepcopy=False))
        waiting = any(trial.state == optuna.trial.TrialState.WAITING for trial in known)
        if not waiting and len(known) >= trials:
            return None
        trial = study.ask()
        if shared:
            study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
        trial.set_user_attr("worker", worker)
        study.sampler = _make_sampler(sampler, seed, first_number(trial))
        return trial


def release_trial(study: optuna.Study, folder: Path, number: int) -> None:
    """Queue a trial again that was stopped: another worker, or this search later on, resumes it."""
    with hold_lock(folder / ".claim.lock", BUSY, CLAIM_SECONDS):
        _requeue(study, study.get_trials(deepcopy=False)[number], deaths=0)


def requeue_dead_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Queue a trial again whose worker died, unless several workers have died with it."""
    if trial.user_attrs.get("deaths", 0) + 1 < MOST_DEATHS:
        _requeue(study, trial, deaths=1)
    else:
        _fail(study, trial.number)


def _requeue_dead_trials(study: optuna.Study, folder: Path, *, shared: bool) -> None:
    """Queue the trials again of workers of this folder whose lock is free."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state != optuna.trial.TrialState.RUNNING:
            continue
        lock = folder / "workers" / f"{trial.user_attrs.get('worker', '')}.lock"
        elsewhere = shared and not lock.is_file()  # its heartbeat tells
        if not elsewhere and not is_locked(lock):
            requeue_dead_trial(study, trial)
            lock.unlink(missing_ok=True)


def _requeue(study: optuna.Study, trial: optuna.trial.FrozenTrial, deaths: int) -> None:
    """Queue an equal trial, then end this one: killed in between, nothing is lost and nothing is queued twice."""
    if trial.number not in _superseded(study.get_trials(deepcopy=False)):
        kept: dict[str, Any] = {key: value for key, value in trial.user_attrs.items() if key != "worker"}
        kept["replaces"] = [*trial.user_attrs.get("replaces", []), trial.number]
        kept["deaths"] = trial.user_attrs.get("deaths", 0) + deaths
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=kept,
            )
        )
    _fail(study, trial.number)


def _fail(study: optuna.Study, number: int) -> None:
    study.tell(number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _superseded(trials: Sequence[optuna.trial.FrozenTrial]) -> set[int]:
    return {number for trial in trials for number in trial.user_attrs.get("replaces", [])}


def _make_sampler(kind: Sampler, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """A sampler for this trial alone: one for all trials would start from its seed again in each worker and each resume."""
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=own)
    return optuna.samplers.TPESampler(seed=own, constant_liar=True)
