"""An experiment is a folder: a question that takes several trainings, their runs, and the answer.

==================  ===================================================================================================
``question.json``   what is asked (:class:`Question`); it never changes once a member was made
``options.json``    how it is answered (:class:`RunOptions`); may change from one time to the next
``split.json``      who is in which part, where all members share one split
``runs/``           a run folder for each member; the trials of a search and the arms of a twin run are ordinary runs
``result.json``     the answer
``stop``            somebody asked it to stop
``.lock``           held by the process that works on it; ``workers/*.lock`` by those of a search
``log.txt``         what a detached process said; ``started`` is as old as its start
``progress.json``   how far it is within the step that it takes (:class:`StoredProgress`)
==================  ===================================================================================================

Whatever is written appears whole or not at all, so a process that is killed at any point leaves an experiment that the
same question resumes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.config import RunConfig, is_same_config, parse_config
from core.dataset.split import Split
from core.errors import ConfigError, HostedModeError, MGMTLabError, RunBusyError, RunError
from core.files import read_document, remove_file, storage_errors, write_atomic
from core.jobs.process import start_detached
from core.jobs.queue import hold_queue, make_room
from core.jobs.quota import ON_YOUR_OWN, check_tests
from core.progress import Progress, silent
from core.runs.folder import NAME_PATTERN, RunFolder, now, with_absolute_paths
from core.runs.lock import hold_lock, is_locked
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings

ENTRY = "core.cli.questions"
"""The module that answers the question of a folder: ``python -m core.cli.questions FOLDER``."""
PREDICTIONS = "predictions"
"""The kind of question that trains nothing and needs no PyTorch: what a checkpoint says of a cohort."""
PREDICTIONS_ENTRY = "core.cli.scans.cohort"
"""The module that answers that one."""
START_SECONDS = 120.0
"""A process that was started so long ago and holds no lock never began; on a busy machine Python alone takes half a minute."""
TELL_SECONDS = 0.5
"""Between two times that progress is written."""
OLD_RESULT = "search-result.json"
"""What the result of a search was called in older versions."""
OLD_COUNT = "trials.txt"
"""Where older versions kept how many trials a search was to have."""


class Question(BaseModel):
    """What an experiment asks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    """Such as "optimism"; see :data:`core.experiments.run.KINDS`."""
    parameters: dict[str, Any]
    """Of the kind: the content of its parameters' class."""
    config: RunConfig
    source: DataSource
    created: str = ""
    """ISO 8601, UTC."""

    @field_validator("config", mode="before")
    @classmethod
    def _parse(cls, config: object) -> object:
        """Read a configuration of an older version as a run's is read."""
        return parse_config(config) if isinstance(config, dict) else config


def make_question(kind: str, parameters: BaseModel, config: RunConfig, source: DataSource) -> Question:
    """Return a question whose paths are absolute: it is answered in another folder."""
    config, source = with_absolute_paths(config, source)
    return Question(kind=kind, parameters=parameters.model_dump(mode="json"), config=config, source=source)


class RunOptions(BaseModel):
    """How a question is answered: what does not change the answer, or adds to it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    parallel: int = Field(default=1, ge=1)
    """Trainings at the same time."""
    count: int | None = Field(default=None, ge=1)
    """Trials of a search, shuffles of a permutation test: a larger number adds to what is there."""
    owner: str = ""
    """The visitor of a demo who asked."""
    storage: str = Field(default="", exclude=True, repr=False)
    """URL of the storage of a search with its password, which is never written down; the question has it without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentStatus:
    """How far an experiment is."""

    state: Literal["none", "running", "stopped", "finished"]
    done: int
    """Members that are trained."""
    message: str
    """The last line of its log."""
    stopping: bool = False
    """It runs, and was asked to stop."""
    step: str = ""
    """What it does now; empty where that is not counted."""
    share: float = 0.0
    """How much of the step is done: 0 to 1."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment's folder; nothing is read or made until it is asked for."""

    folder: Path

    @classmethod
    def ask(cls, settings: Settings, name: str, question: Question, members: Iterable[RunFolder] = ()) -> Experiment:
        """Write a question down and return its experiment, or return the one of that name that asks the same.

        An earlier request to stop is taken back. A question of which no member was made yet does not keep its name: another one replaces it. `members` are runs
        elsewhere that belong to it.

        Raises
        ------
        ConfigError
            The name cannot be used, or belongs to another question.
        StorageError
            The folder cannot be written.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name an experiment; use letters, digits, dots, dashes and underscores.")
        experiment = cls(settings.experiments / name)
        with storage_errors(experiment.folder):
            experiment.folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(experiment.folder / ".question.lock", f"{name} is being started; try again.", 10.0):
            alive, known = experiment.is_alive(), experiment._read("question.json")
            if known is None or not experiment._asks(question):
                begun = experiment.has_members() or any(run.path.exists() for run in members)
                if known is not None and (begun or alive):
                    raise ConfigError(f"{name} asked another question; choose another name with --name.")
                dated = question.model_copy(update={"created": now()})
                write_atomic(experiment.folder / "question.json", dated.model_dump_json(indent=1))
            if not alive:
                remove_file(experiment.stop_file)
        return experiment

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def entry(self) -> str:
        """The module that answers its question: ``python -m ENTRY FOLDER``; raises RunError."""
        return PREDICTIONS_ENTRY if self.question().kind == PREDICTIONS else ENTRY

    @property
    def runs(self) -> Path:
        """Where its members' runs are."""
        return self.folder / "runs"

    @property
    def stop_file(self) -> Path:
        """While it is there, no member is trained."""
        return self.folder / "stop"

    def question(self) -> Question:
        """What is asked; raises RunError where question.json is missing or damaged."""
        try:
            return Question.model_validate(self._read("question.json"))
        except (ValidationError, MGMTLabError) as error:
            raise RunError(
                f"{self.folder / 'question.json'} is missing or damaged ({type(error).__name__}); start it anew under "
                "another name."
            ) from error

    def options(self) -> RunOptions:
        """How it was answered last; the defaults where that is not known."""
        try:
            return RunOptions.model_validate(self._read("options.json") or {"count": self._read(OLD_COUNT)})
        except ValidationError:
            return RunOptions()

    def write_options(self, options: RunOptions) -> None:
        """Keep how it is to be answered."""
        write_atomic(self.folder / "options.json", options.model_dump_json())

    def split(self) -> Split | None:
        """The split that all members share, or None; raises SplitError where it is damaged."""
        try:
            return Split.from_json((self.folder / "split.json").read_text())
        except FileNotFoundError:
            return None

    def write_split(self, split: Split) -> None:
        """Keep the split that all members share."""
        write_atomic(self.folder / "split.json", split.to_json())

    def result(self) -> dict[str, Any] | None:
        """The answer, or None before there is one."""
        result = self._read("result.json") or self._read(OLD_RESULT)
        return result if isinstance(result, dict) else None

    def write_result(self, result: dict[str, Any]) -> None:
        """Keep the answer."""
        write_atomic(self.folder / "result.json", json.dumps(result, indent=1))

    def members(self) -> list[RunFolder]:
        """The runs below its folder, by name."""
        paths = sorted(path for path in self.runs.glob("*/") if not path.name.startswith("."))
        return [RunFolder(path) for path in paths]

    def has_members(self) -> bool:
        """Whether anything was made of the question: a split, a run or a result."""
        return (self.folder / "split.json").exists() or bool(self.members()) or self.result() is not None

    def is_alive(self) -> bool:
        """Whether some process works on it."""
        return is_locked(self.folder / ".lock") or self.count_workers() > 0

    def count_workers(self) -> int:
        """Workers of a search that live and use this folder."""
        return sum(is_locked(path) for path in self.folder.glob("workers/*.lock"))

    def status(self) -> ExperimentStatus:
        """How far it is, from its folder alone."""
        if not self.folder.is_dir():
            return ExperimentStatus(state="none", done=0, message="")
        parts = (RunFolder(path) for path in self.folder.glob("*/runs/*/"))
        done = sum(run.status().state == "finished" for run in (*self.members(), *parts))
        message, asked = _last_line(self.folder / "log.txt"), self.stop_file.exists()
        if self.is_alive():
            step = self._read("progress.json") or {}
            share, told = float(step.get("share", 0)), str(step.get("step", ""))
            return ExperimentStatus(
                state="running", done=done, message=message, stopping=asked, step=told, share=min(max(share, 0.0), 1.0)
            )
        if self.result() is not None:
            return ExperimentStatus(state="finished", done=done, message=message)
        started = _modified(self.folder / "started")
        failed = message.startswith("error:") and _modified(self.folder / "log.txt") >= started
        if time.time() - started < START_SECONDS and not failed and not asked:
            return ExperimentStatus(state="running", done=done, message="starting")
        return ExperimentStatus(state="stopped", done=done, message=message)

    def stop(self) -> None:
        """Ask it to stop: the member in training stops at its next batch, and can be resumed."""
        write_atomic(self.stop_file, "")
        for run in self.members():
            if run.is_alive():
                run.ask_to_stop()

    def _asks(self, question: Question) -> bool:
        """Whether it asks the same, whatever the question says of settings that are younger than the experiment."""
        known = self.question()
        return is_same_config(self._read("question.json")["config"], question.config) and (
            (known.kind, known.parameters, known.source) == (question.kind, question.parameters, question.source)
        )

    def _read(self, name: str) -> Any:
        """The content of a JSON file, or None where it is missing or damaged."""
        try:
            return read_document(self.folder / name)
        except (OSError, ValueError):
            return None

    @contextmanager
    def work(self, settings: Settings, *, behind_queue: bool = False, shared: bool = False) -> Iterator[None]:
        """Hold the experiment's lock while it is worked on.

        Parameters
        ----------
        settings
            Where the queue is.
        behind_queue
            Wait until the queue of runs is empty, and let no queued run begin meanwhile.
        shared
            Work on it also where another process does.

        Raises
        ------
        RunBusyError
            Another process works on it.
        """
        with ExitStack() as stack:
            try:
                busy = f"Another process is working on {self.name}; wait for it."
                stack.enter_context(hold_lock(self.folder / ".lock", busy, 2.0))
            except RunBusyError:
                if not shared:
                    raise
            if behind_queue:
                stack.enter_context(hold_queue(settings))
            yield


@dataclass(frozen=True, slots=True)
class Part(Experiment):
    """An experiment that belongs to another, and is stopped with it."""

    whole: Path
    """The other's stop file."""

    @property
    def stop_file(self) -> Path:
        """The other's."""
        return self.whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What whoever runs an experiment is told."""

    progress: Callable[[str], Progress] = lambda title: silent
    """Given what is counted ("trainings", "preparing", ...), returns what is called with the count."""
    on_epoch: Callable[[EpochRecord], None] = lambda record: None
    """Called with each epoch that is trained in this process."""
    on_trial: Callable[[int, str], None] = lambda number, outcome: None
    """Called with the number of each trial of a search, and "finished", "pruned" or "failed"."""


class StoredProgress:
    """A :class:`core.progress.Progress` that other processes read, and that ends the work where somebody asked to stop it.

    Raises
    ------
    KeyboardInterrupt
        The experiment's stop file is there.
    HostedModeError
        The time is over that a demo gives a test: `ends`, of the monotonic clock.
    """

    def __init__(self, experiment: Experiment, title: str, ends: float = math.inf) -> None:
        self._experiment, self._title, self._ends = experiment, title, ends
        self._told = -math.inf

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Write down that `done` of `total` are done, twice a second at most."""
        now = time.monotonic()
        if now - self._told < TELL_SECONDS and done < total:
            return
        self._told = now
        if self._experiment.stop_file.exists():
            raise KeyboardInterrupt
        if now > self._ends:
            raise HostedModeError(f"The time is over that this demo gives a test; {ON_YOUR_OWN}.")
        share = done / total if total else 1.0
        step = {"step": f"{self._title}: {done} of {total}", "share": share}
        write_atomic(self._experiment.folder / "progress.json", json.dumps(step))


def list_experiments(settings: Settings, kind: str | None = None) -> list[Experiment]:
    """Return the experiments of a kind, or of all kinds, newest first; a damaged one is left out."""
    found = []
    for path in settings.experiments.glob("*/question.json"):
        question = Experiment(path.parent)._read(path.name)
        if isinstance(question, dict) and kind in (None, question.get("kind")):
            found.append((str(question.get("created", "")), path.parent))
    return [Experiment(folder) for _, folder in sorted(found, reverse=True)]


def start_experiment(
    settings: Settings, name: str, question: Question, options: RunOptions, *, trains: bool = True
) -> Experiment:
    """Answer a question in a process of its own, from the start or from where an earlier one stopped.

    The question and the options are written down first; the process reads them from the folder, which is returned.
    `trains` says whether it takes trainings, or predictions of a whole cohort: a demo answers only what takes neither.

    Raises
    ------
    HostedModeError
        This is a demo, and it takes trainings, or as many tests as it gives at once are worked on.
    RunBusyError
        Another process works on it.
    ConfigError
        As :meth:`Experiment.ask`.
    """
    if settings.hosted and trains:
        raise HostedModeError("This demo starts no work on whole cohorts; run MGMT Lab on a machine of your own.")
    if Experiment(settings.experiments / name).status().state == "running":
        raise RunBusyError(f"{name} is being worked on; stop it first, or wait.")
    if settings.hosted:
        running = [one.options().owner for one in list_experiments(settings) if one.status().state == "running"]
        check_tests(settings, options.owner, running)
        make_room(settings, question.source)
    experiment = Experiment.ask(settings, name, question)
    experiment.write_options(options)
    write_atomic(experiment.folder / "started", "")
    start_detached(experiment.entry, str(experiment.folder), settings=settings, log=experiment.folder / "log.txt")
    return experiment


def _modified(path: Path) -> float:
    """When a file was written, in seconds since 1970; 0 where there is none."""
    return path.stat().st_mtime if path.exists() else 0.0


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - 4096))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
