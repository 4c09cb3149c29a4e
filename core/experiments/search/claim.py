"""Which trial a worker takes next: one that a dead or stopped worker left behind, else a new one, while some are due."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.runs.lock import hold_lock, is_locked

if TYPE_CHECKING:
    import optuna


Sampler = Literal["tpe", "random"]

MOST_DEATHS = 3
"""A trial that took so many workers with it is not tried again."""
CLAIM_SECONDS = 120.0
BUSY = "The search's workers wait for each other and do not come to an end; give the same command again."


@contextmanager
def at_work(folder: Path) -> Iterator[str]:
    """Hold a lock as one of a search's workers, and yield its name: who finds the lock free knows that it died."""
    place = folder / "workers"
    place.mkdir(parents=True, exist_ok=True)
    name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    with hold_lock(place / f"{name}.lock", "Another worker has this name; try again."):
        yield name
        (place / f"{name}.lock").unlink(missing_ok=True)


def workers_alive(folder: Path) -> int:
    """Count the workers that live, of those that use this folder."""
    return sum(is_locked(path) for path in (folder / "workers").glob("*.lock"))


def counted_trials(trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """Return the trials without the attempts that another one took up."""
    replaced = _replaced(trials)
    return [trial for trial in trials if trial.number not in replaced]


def claim_trial(
    study: optuna.Study, folder: Path, worker: str, *, trials: int, shared: bool, sampler: Sampler, seed: int
) -> optuna.trial.Trial | None:
    """Take the next trial; None where as many as are wanted are done or being done.

    What it draws depends on the seed, the trial's number and, for TPE, on which trials had finished by then: with one
    worker the same search gives the same trials, interrupted or not; with several, TPE depends on who was faster.
    Workers of different hosts on one database may take up to one trial more each.

    Parameters
    ----------
    study, folder
        The search's.
    worker
        From :func:`at_work`.
    trials
        How many there are to be in all.
    shared
        The study lives in a database: workers whose lock is not in this folder may live elsewhere.
    sampler, seed
        How values are drawn.

    Raises
    ------
    RunBusyError
        The other workers do not let go.
    """
    import optuna

    with hold_lock(folder / ".claim.lock", BUSY, CLAIM_SECONDS):
        if shared:
            optuna.storages.fail_stale_trials(study)
        _bury(study, folder, shared=shared)
        known = counted_trials(study.get_trials(deepcopy=False))
        waiting = any(trial.state == optuna.trial.TrialState.WAITING for trial in known)
        if not waiting and len(known) >= trials:
            return None
        trial = study.ask()
        if shared:
            study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
        trial.set_user_attr("worker", worker)
        study.sampler = _make_sampler(sampler, seed, trial.number)
        return trial


def hand_back(study: optuna.Study, folder: Path, number: int) -> None:
    """Let another worker, or this search later on, take a trial up where it stands."""
    with hold_lock(folder / ".claim.lock", BUSY, CLAIM_SECONDS):
        _replace(study, study.get_trials(deepcopy=False)[number], deaths=0)


def replace_dead(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Put a trial whose worker died back into the queue, unless it has killed several."""
    if trial.user_attrs.get("deaths", 0) + 1 < MOST_DEATHS:
        _replace(study, trial, deaths=1)
    else:
        _fail(study, trial.number)


def _bury(study: optuna.Study, folder: Path, *, shared: bool) -> None:
    """Replace the trials of workers of this folder whose lock is free."""
    import optuna

    for trial in study.get_trials(deepcopy=False):
        if trial.state != optuna.trial.TrialState.RUNNING:
            continue
        lock = folder / "workers" / f"{trial.user_attrs.get('worker', '')}.lock"
        elsewhere = shared and not lock.is_file()  # its heartbeat tells
        if not elsewhere and not is_locked(lock):
            replace_dead(study, trial)
            lock.unlink(missing_ok=True)


def _replace(study: optuna.Study, trial: optuna.trial.FrozenTrial, deaths: int) -> None:
    """Queue an equal trial, then end this one: killed in between, nothing is lost and nothing is queued twice."""
    import optuna

    if trial.number not in _replaced(study.get_trials(deepcopy=False)):
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
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _replaced(trials: Sequence[optuna.trial.FrozenTrial]) -> set[int]:
    return {number for trial in trials for number in trial.user_attrs.get("replaces", [])}


def _make_sampler(kind: Sampler, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """A sampler of this trial's own: one that lives on would begin anew in each worker and after each interruption."""
    import optuna

    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=own)
    return optuna.samplers.TPESampler(seed=own, constant_liar=True)
