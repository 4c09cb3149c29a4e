"""What a search has found so far: its trials, the best of them, what that is worth, and its one look at the test patients."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from core.errors import RunError
from core.evaluation.figure import Figure
from core.evaluation.power import auroc_variance
from core.evaluation.selection import expected_gain
from core.experiments.search.claim import counted_trials, workers_alive
from core.experiments.search.search import QUESTION, WANTED, Search
from core.experiments.search.storage import speaking
from core.files import write_atomic
from core.jobs.background import ExperimentStatus, read_experiment_status
from core.jobs.foreground import STOP
from core.progress import Progress, silent
from core.runs.evaluation import Evaluation, read_evaluation
from core.runs.folder import RunFolder
from core.runs.ledger import count_evaluations
from core.settings import Settings
from core.training.evaluate import evaluate_run

if TYPE_CHECKING:
    import optuna


TrialState = Literal["waiting", "running", "finished", "pruned", "failed"]

RESULT = "search-result.json"
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
    """By patient, of the best epoch, on the validation patients that chose it."""
    run: str
    reason: str
    """Why it failed."""


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
    """Expected gain with a correlation of 0.8 between two trials, which are judged on the same patients."""

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
    """A search as it stands."""

    name: str
    select_on: str
    wanted: int
    """Trials that were asked for."""
    trials: tuple[TrialRow, ...]
    best: TrialRow | None
    noise: Noise | None
    test_patients: int
    looked_at: int
    """How often the test patients have been looked at, by any run."""
    evaluation: dict[str, Any] | None
    """Of the best trial's run on the test patients, as ``evaluate --json`` prints it, where somebody has looked."""

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


def list_searches(settings: Settings) -> list[str]:
    """Names of the searches there are, newest first."""
    found = []
    for path in settings.experiments.glob(f"*/{QUESTION}"):
        try:
            question = json.loads(path.read_text())
            if question["kind"] == "search":
                found.append((str(question["created"]), path.parent.name))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [name for _, name in sorted(found, reverse=True)]


def begun_searches(settings: Settings) -> list[str]:
    """Names of what was started in the background and has not come to a question yet."""
    return [
        path.parent.name for path in settings.experiments.glob("*/started") if not (path.parent / QUESTION).exists()
    ]


def read_result(search: Search, settings: Settings, study: optuna.Study | None = None) -> SearchResult:
    """Read how a search stands; looks at nobody.

    Parameters
    ----------
    search, settings
        The search; where runs and the ledger of looks live.
    study
        Its study, where that is open already.

    Raises
    ------
    StorageError
        It has no trial yet, or its database cannot be reached.
    """
    study = study or search.open_study()
    with speaking(search.place):
        trials = [_row(trial) for trial in counted_trials(study.get_trials(deepcopy=False))]
    ended = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    smallest = study.direction.name == "MINIMIZE"
    best = min(ended, key=lambda row: ((row.value or 0.0) * (1 if smallest else -1), row.number), default=None)
    evaluation = None
    if best is not None:
        stored = read_evaluation(RunFolder(settings.runs / best.run), "test")
        evaluation = stored.to_dict() if stored else None
    return SearchResult(
        name=search.name,
        select_on=search.config.select_on,
        wanted=_read_wanted(search),
        trials=tuple(trials),
        best=best,
        noise=measure_noise(search, trials),
        test_patients=len(search.split.test),
        looked_at=count_evaluations(search.split.test_digest, settings),
        evaluation=evaluation,
    )


def write_result(search: Search, result: SearchResult) -> None:
    """Keep a finished search's answer in its folder."""
    write_atomic(search.folder / RESULT, json.dumps(result.to_dict(), indent=1))


def judge_search(search: Search, settings: Settings, progress: Progress = silent) -> tuple[Evaluation, bool]:
    """Judge the best trial's run on the test patients: one look, which the ledger counts.

    What was judged before is read, not looked at again; another trial that has become the best is a new look.

    Returns
    -------
    tuple
        The judgement, and whether the patients were looked at now.

    Raises
    ------
    RunError
        No trial has finished, there are no test patients, or the best run is on another host.
    EvaluationError
        The data have changed.
    """
    best = read_result(search, settings).best
    if best is None:
        raise RunError(f"No trial of {search.name} has finished yet; there is nothing to judge.")
    if not search.split.test:
        raise RunError(
            f"{search.name} set no test patients apart; judge its best run on other data with evaluate --data."
        )
    run = RunFolder(settings.runs / best.run)
    if not run.checkpoint.exists():
        raise RunError(f"The best run, {best.run}, is not on this machine; judge it where it was trained.")
    stored = read_evaluation(run, "test")
    return (stored, False) if stored else (evaluate_run(run, "test", settings, progress=progress), True)


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


def read_search_standing(search: Search, settings: Settings, result: SearchResult | None = None) -> ExperimentStatus:
    """Say how a search stands: running while a worker lives, finished when as many trials as asked for have ended."""
    seen = read_experiment_status(settings, search.name)
    ended = result.count("finished", "pruned", "failed") if result else 0
    if seen.state == "running" or workers_alive(search.folder):
        return replace(seen, state="running", done=ended, stopping=(search.folder / STOP).exists())
    enough = result is not None and ended >= result.wanted > 0
    return replace(seen, state="finished" if enough else "stopped", done=ended)


def _read_wanted(search: Search) -> int:
    try:
        return int((search.folder / WANTED).read_text())
    except (OSError, ValueError):
        return 0


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
    )
