"""What a search has found so far: its trials, the best of them, and what that is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

import optuna

from core.errors import MGMTLabError
from core.evaluation.figure import Figure
from core.evaluation.power import auroc_variance
from core.evaluation.selection import CORRECTED, correct_auroc, expected_gain, join_selections, withhold_interval
from core.experiments.search.search import Search
from core.experiments.search.storage import storage_errors
from core.experiments.search.trial_queue import current_trials
from core.jobs.experiment import ExperimentStatus
from core.models.card import read_card
from core.runs.epoch_figures import read_selection
from core.runs.evaluation import read_evaluation
from core.runs.folder import RunFolder
from core.runs.ledger import count_evaluations
from core.settings import Settings

TrialState = Literal["waiting", "running", "finished", "pruned", "failed"]

ALIKE = 0.8
"""Correlation of the figures of two relatives on the same patients, as :mod:`core.evaluation.power` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial, the attempts that it took up included."""

    number: int
    state: TrialState
    settings: dict[str, Any]
    """What was drawn, by setting."""
    value: float | None
    """The figure that trials are compared by; of a pruned trial the last one."""
    epochs: int
    """Reported so far."""
    best_epoch: int | None
    auroc: Figure | None
    """By patient, on the validation patients, corrected for the choice of the epoch where the run keeps enough; of a search's
    best trial for the choice among all epochs of all trials, or without an interval."""
    run: str
    reason: str
    """Why it failed."""
    loss: float | None = None
    """In validation, of the best epoch; None before it has ended, and in a search of an older version."""

    @property
    def whose(self) -> str:
        """Which patients the AUROC is of, in words: of a search's best trial."""
        corrected = self.auroc is not None and self.auroc.method == CORRECTED
        return (
            "corrected for the choice among all epochs of all trials" if corrected else "on the patients that chose it"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What the best of several equally good trials would gain by noise alone, in AUROC."""

    compared: int
    """Trials that were compared, pruned ones included."""
    patients: int
    centre: float
    """The median AUROC of the finished trials: where the standard error is taken."""
    standard_error: float
    independent: float
    """Expected gain were the trials' errors independent: the upper limit."""
    alike: float
    """Expected gain with a correlation of 0.8 between two trials, which are evaluated on the same patients."""

    @property
    def sentence(self) -> str:
        """In words."""
        return (
            f"Were all {self.compared} trials equally good, the best would still exceed the truth by {self.alike:.3f} to "
            f"{self.independent:.3f} in expectation, by noise alone (standard error {self.standard_error:.3f} on "
            f"{self.patients} validation patients; correlation of two trials 0.8 to 0). That the best epoch was chosen on "
            "the same patients comes on top."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """A search so far."""

    name: str
    select_on: str
    wanted: int
    """Trials that were asked for."""
    trials: tuple[TrialRow, ...]
    best: TrialRow | None
    noise: Noise | None
    test_patients: int
    looked_at: int
    """How often the test patients have been evaluated, by any run."""
    evaluation: dict[str, Any] | None
    """Of the best trial's run on the test patients, as ``evaluate --json`` prints it, where that was done."""

    def count(self, *states: TrialState) -> int:
        """Trials in some of the states."""
        return sum(trial.state in states for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """As ``search --json`` prints it."""
        rows = [{**asdict(row), "auroc": row.auroc.to_dict() if row.auroc else None} for row in self.trials]
        noise = None if self.noise is None else {**asdict(self.noise), "sentence": self.noise.sentence}
        return {
            "name": self.name,
            "select_on": self.select_on,
            "wanted": self.wanted,
            "trials": rows,
            "best": next((row for row in rows if self.best and row["number"] == self.best.number), None),
            "noise": noise,
            "test": {"patients": self.test_patients, "looked_at": self.looked_at, "judgement": self.evaluation},
        }


def read_result(search: Search, settings: Settings, study: optuna.Study | None = None) -> SearchResult:
    """Read what a search has found; nothing is evaluated.

    Parameters
    ----------
    search, settings
        The search; where runs and the ledger of evaluations live.
    study
        Its study, where that is open already.

    Raises
    ------
    StorageError
        It has no trial yet, or its database cannot be reached.
    """
    study = study or search.open_study()
    with storage_errors(search.place):
        trials = [_row(trial) for trial in current_trials(study.get_trials(deepcopy=False))]
    ended = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    smallest = study.direction.name == "MINIMIZE"
    best = min(ended, key=lambda row: rank_trial(row, smallest=smallest), default=None)
    noise = measure_noise(search, trials)
    evaluation = None
    if best is not None:
        stored = read_evaluation(RunFolder(settings.runs / best.run), "test")
        evaluation = stored.to_dict() if stored else None
        best = replace(best, auroc=correct_best(best, trials, settings))
        trials = [best if row.number == best.number else row for row in trials]
    return SearchResult(
        name=search.name,
        select_on=search.config.select_on,
        wanted=search.wanted,
        trials=tuple(trials),
        best=best,
        noise=noise,
        test_patients=len(search.split.test),
        looked_at=count_evaluations(search.split.test_digest, settings),
        evaluation=evaluation,
    )


def correct_best(best: TrialRow, trials: Sequence[TrialRow], settings: Settings) -> Figure | None:
    """Return the best trial's AUROC, corrected for the choice among all epochs of all trials (BBC-CV).

    Pruned trials count, too: they were looked at. Where a run is on another host, or keeps too little, no interval is given.
    """
    runs = [RunFolder(settings.runs / row.run) for row in trials if row.state in ("finished", "pruned")]
    if all(run.validation_file.is_file() and run.checkpoint.is_file() for run in runs):
        stamps = tuple((run.path, run.validation_file.stat().st_mtime_ns) for run in runs)
        corrected = _correct_all(stamps)
        if corrected is not None and corrected.value is not None:
            return corrected
    known = best.auroc
    if known is None or known.low is None:
        return known
    return withhold_interval(replace(known, method="chosen among trials"))


@lru_cache(maxsize=16)
def _correct_all(stamps: tuple[tuple[Path, int], ...]) -> Figure | None:
    selections = []
    for path, _ in stamps:
        run = RunFolder(path)
        try:
            selection = read_selection(run, read_card(run.checkpoint))
        except MGMTLabError:
            return None
        if selection is None:
            return None
        selections.append(selection)
    joined = join_selections(selections)
    return None if joined is None else correct_auroc(joined)


def measure_noise(search: Search, trials: list[TrialRow]) -> Noise | None:
    """Say what choosing gains by noise; None before two trials ended, or where another figure than the AUROC chooses."""
    compared = sum(trial.state in ("finished", "pruned") for trial in trials)
    figures = [
        trial.auroc for trial in trials if trial.state == "finished" and trial.auroc and trial.auroc.value is not None
    ]
    if search.config.select_on != "val_patient_auroc" or compared < 2 or not figures:
        return None
    patients = max(figure.n for figure in figures)
    centre = median(figure.value for figure in figures if figure.value is not None)
    # Strictly inside: at 0 and 1 a figure would seem to have no error at all.
    inside = min(max(centre, 1 / (2 * patients)), 1 - 1 / (2 * patients))
    error = auroc_variance(inside, patients, prevalence=0.5) ** 0.5
    return Noise(
        compared=compared,
        patients=patients,
        centre=centre,
        standard_error=error,
        independent=expected_gain(compared, error),
        alike=expected_gain(compared, error, ALIKE),
    )


def read_search_status(search: Search, result: SearchResult) -> ExperimentStatus:
    """Say how far a search is: it has finished when as many trials as were asked for have ended."""
    status = search.experiment.status()
    ended = result.count("finished", "pruned", "failed")
    if status.state == "running":
        return replace(status, done=ended)
    return replace(status, state="finished" if ended >= result.wanted > 0 else "stopped", done=ended)


def rank_trial(row: TrialRow, *, smallest: bool) -> tuple[float, float, int]:
    """What trials are compared by, smaller is better: the figure; of equals the lower loss, as epochs are; then the number."""
    value = row.value or 0.0
    return value if smallest else -value, math.inf if row.loss is None else row.loss, row.number


def _row(trial: optuna.trial.FrozenTrial) -> TrialRow:
    states: dict[str, TrialState] = {
        "WAITING": "waiting", "RUNNING": "running", "COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed",
    }  # fmt: skip
    kept = trial.user_attrs
    state = states[trial.state.name]
    deaths = kept.get("deaths", 0) + 1
    unsaid = f"Its worker died {deaths} times; train.log of {kept.get('run', 'its run')} may say why."
    auroc = kept.get("auroc")
    return TrialRow(
        number=trial.number,
        state=state,
        settings=dict(trial.params),
        value=trial.value,
        epochs=len(trial.intermediate_values),
        best_epoch=kept.get("best_epoch"),
        auroc=Figure(**auroc) if auroc else None,
        run=str(kept.get("run", "")),
        reason=str(kept.get("reason", unsaid)) if state == "failed" else "",
        loss=kept.get("val_loss"),
    )
