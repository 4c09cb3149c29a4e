"""A run is a folder: its files are the only channel between the trainer and every other process."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from core.config import RunConfig, parse_config
from core.dataset.predictions import check_predictions
from core.dataset.split import Split
from core.errors import MGMTLabError, RunBusyError, RunError
from core.files import append_line, read_document, remove_file, storage_errors, write_atomic
from core.runs.lock import hold_lock, is_locked
from core.runs.records import DataSource, EpochRecord, RunEnvironment, RunState, RunStatus
from core.settings import Settings

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
LOG_TAIL_BYTES = 64 * 1024
VALIDATION = "validation.safetensors"
"""What each epoch said of each validation patient (:mod:`core.runs.epoch_figures`)."""


INTERRUPTED = "The training process is gone (killed, out of memory, or the machine restarted); resume the run to go on."
_INTERRUPTION = {"state": "interrupted", "seconds_left": None, "images_per_second": None, "message": INTERRUPTED}


class RunFolder:
    """One run on the disk. Reading is cheap, holds no lock, and tolerates damaged files.

    Parameters
    ----------
    path
        The run's folder; made absolute. Nothing is read or created until a method is called.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunFolder) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    @classmethod
    def create(
        cls,
        settings: Settings,
        config: RunConfig,
        source: DataSource,
        name: str | None = None,
        owner: str = "",
        note: str = "",
        *,
        folder: Path | None = None,
        state: RunState = "queued",
        split: Split | None = None,
        tensorboard: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> RunFolder:
        """Create a run's folder with its configuration and split, in one atomic step.

        The files are written into a folder beside it, which is then renamed: the run appears whole or not at all.

        Parameters
        ----------
        settings
            Where runs live.
        config, source
            What to train, on which data. Relative paths are made absolute: the trainer has another working folder.
        name
            Name of the folder; by default date, time, preset and three random digits.
        owner, note
            As in :class:`RunStatus`.
        folder
            Another folder than one below ``settings.runs``; it must be new or empty.
        state
            "queued" for the queue; a run that the caller trains itself starts as "running".
        split
            Which patients are in which part; by default the trainer draws it.
        tensorboard
            Keep TensorBoard event files too (:mod:`core.training.tensorboard`).
        files
            More files by name, for whoever makes the run.

        Raises
        ------
        RunError
            The name cannot be used, or the folder is taken.
        StorageError
            It cannot be written.
        """
        config, source = with_absolute_paths(config, source)
        created = datetime.now(UTC)
        if name is None:
            name = f"{created:%Y%m%d-%H%M}-{config.preset}-{secrets.token_hex(2)[:3]}"
        if not NAME_PATTERN.fullmatch(name):
            raise RunError(
                f"{name!r} cannot name a run; use up to 80 letters, digits, dots, dashes and underscores, "
                "beginning with a letter or digit."
            )
        path = (folder or settings.runs / name).expanduser().resolve()
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} exists already; choose another name or folder, or resume the run that is there.")
        moment = created.isoformat(timespec="microseconds")
        status = RunStatus(state=state, epochs=config.epochs, created=moment, queued=moment, owner=owner, note=note)
        beside = cls(path.with_name(f".{path.name}.{secrets.token_hex(4)}.new"))
        with storage_errors(path):
            beside.path.mkdir(parents=True)
            try:
                write_atomic(beside.path / "config.json", config.model_dump_json(indent=1))
                write_atomic(beside.path / "data.json", source.model_dump_json(indent=1))
                if split is not None:
                    write_atomic(beside.path / "split.json", split.to_json())
                for extra, content in (files or {}).items():
                    write_atomic(beside.path / extra, content)
                if tensorboard:
                    beside.events.mkdir()
                beside.write_status(status)
                beside.path.rename(path)
            finally:
                shutil.rmtree(beside.path, ignore_errors=True)
        return cls(path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """Weights of the best epoch so far; may not exist yet."""
        return self.path / "best.safetensors"

    @property
    def validation_file(self) -> Path:
        """What each epoch said of each validation patient; a run of an older version has none."""
        return self.path / VALIDATION

    @property
    def resume_file(self) -> Path:
        """The state to resume training from; may not exist yet."""
        return self.path / "resume.pt"

    @property
    def events(self) -> Path:
        """TensorBoard's event files; a run that has this folder keeps them."""
        return self.path / "tensorboard"

    @property
    def log_file(self) -> Path:
        """The trainer's log."""
        return self.path / "train.log"

    @property
    def config(self) -> RunConfig:
        """The configuration; raises RunError where config.json is missing or damaged."""
        try:
            return parse_config(self._read("config.json"))
        except MGMTLabError as error:
            raise RunError(f"{self.path / 'config.json'} cannot be used: {error}") from error

    @property
    def source(self) -> DataSource:
        """The data; raises RunError where data.json is missing or damaged."""
        try:
            return DataSource.model_validate_json(self._read("data.json"))
        except ValidationError as error:
            raise RunError(f"{self.path / 'data.json'} is damaged ({error.errors()[0]['msg']}); restore it.") from error

    def status(self) -> RunStatus:
        """Return the status; a run that says "running" while no process holds its lock is "interrupted". Never raises."""
        status = self._stored_status()
        if status.state != "running" or self.is_alive():
            return status
        # The trainer may have finished properly in the meantime.
        status = self._stored_status()
        return status.model_copy(update=_INTERRUPTION) if status.state == "running" else status

    def epochs(self) -> list[EpochRecord]:
        """Return the finished epochs; an incomplete line (a crash while writing) ends the list."""
        records = []
        for line in self._read_or("epochs.jsonl", "").splitlines():
            try:
                records.append(EpochRecord.model_validate_json(line))
            except ValidationError:
                break
        return records

    def environment(self) -> dict[str, Any]:
        """Return versions, device, threads, class names and sizes; empty before the trainer has started.

        Raises
        ------
        RunError
            environment.json is damaged.
        """
        path = self.path / "environment.json"
        try:
            content: dict[str, Any] = read_document(path)
            RunEnvironment.model_validate(content)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({type(error).__name__}); restore it, or delete the run.") from error
        return content

    def participants(self) -> dict[str, Any] | None:
        """Return the flow of its cohort's participants when it was trained; None in a run of an older version."""
        flow = self.environment().get("participants")
        return flow if isinstance(flow, dict) else None

    def weights_summary(self) -> str:
        """Say which weights it started from and how many tensors matched; empty before the trainer has loaded them."""
        weights = self.environment().get("weights") or {}
        return str(weights.get("summary") or weights.get("origin") or "")

    def split(self) -> Split:
        """Return the split; raises RunError before the trainer has drawn it, SplitError where it is damaged."""
        return Split.from_json(self._read("split.json"))

    def predictions(self) -> pd.DataFrame:
        """Return predictions on the validation slices at the best epoch: key, study_id, person, sequence, slice_index, label, logit_0, ..."""
        path = self.path / "predictions.parquet"
        if not path.exists():
            raise RunError(f"{self.name} has no predictions yet; they come with its first finished epoch.")
        try:
            return check_predictions(path)
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}); restore it, or delete the run.") from error

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines of train.log; cheap however long it is."""
        try:
            with self.log_file.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, 2) - LOG_TAIL_BYTES))
                return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def lock(self, timeout_seconds: float = 2.0) -> AbstractContextManager[None]:
        """Return the lock of who changes the run; entering it raises RunBusyError where another process holds it."""
        busy = f"Another process is working on {self.name}; stop it first, or wait."
        return hold_lock(self.path / ".lock", busy, timeout_seconds)

    def is_alive(self) -> bool:
        """Whether a process holds the run's lock."""
        return is_locked(self.path / ".lock")

    def write_status(self, status: RunStatus) -> None:
        """Replace status.json; the caller holds the lock."""
        write_atomic(self.path / "status.json", status.model_dump_json(), durable=status.state != "running")

    def append_epoch(self, record: EpochRecord) -> None:
        """Append one line to epochs.jsonl."""
        append_line(self.path / "epochs.jsonl", record.model_dump_json())

    def replace_epochs(self, records: list[EpochRecord]) -> None:
        """Rewrite epochs.jsonl with the records of the resume file."""
        write_atomic(self.path / "epochs.jsonl", "".join(record.model_dump_json() + "\n" for record in records))

    def ask_to_stop(self) -> None:
        """Write the stop file; the trainer stops before the next batch."""
        write_atomic(self.path / "stop", "")

    def stop_requested(self) -> bool:
        """Whether the stop file exists."""
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        """Remove the stop file; raises StorageError."""
        remove_file(self.path / "stop")

    def _stored_status(self) -> RunStatus:
        try:
            return RunStatus.model_validate_json(self._read("status.json"))
        except (RunError, ValidationError):
            reason = f"{self.path / 'status.json'} is missing or damaged; delete the run, or resume it to go on."
            return RunStatus(state="failed", message=reason)

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                f"{self.path / name} cannot be read ({type(error).__name__}); is {self.path} a run's folder?"
            ) from error

    def _read_or(self, name: str, default: str) -> str:
        try:
            return (self.path / name).read_text(errors="replace")
        except OSError:
            return default


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One row of the list of runs."""

    run: RunFolder
    status: RunStatus
    preset: str = ""
    architecture: str = ""


def now() -> str:
    """Return the current time as runs write it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def list_runs(settings: Settings, owner: str | None = None) -> list[RunEntry]:
    """List the runs below ``settings.runs``, newest first; a damaged folder is listed as failed, with the reason.

    Parameters
    ----------
    settings
        Where runs live.
    owner
        Only this visitor's runs.
    """
    entries = []
    folders = settings.runs.iterdir() if settings.runs.is_dir() else []
    for folder in folders:
        if not folder.name.startswith(".") and folder.is_dir():
            entry = _entry(RunFolder(folder))
            if owner is None or entry.status.owner == owner:
                entries.append(entry)
    return sorted(entries, key=lambda entry: (entry.status.created, entry.run.name), reverse=True)


def find_run(name: str | Path, settings: Settings, owner: str | None = None) -> RunFolder:
    """Return the run of a name, or in local mode of a folder.

    A name is only compared with those that exist; it never becomes part of a path.

    Raises
    ------
    RunError
        There is no such run, or it is not this owner's.
    """
    entries = list_runs(settings, owner)
    for entry in entries:
        if entry.run.name == str(name):
            return entry.run
    folder = Path(name).expanduser()
    if not settings.hosted and (folder / "config.json").is_file():
        return RunFolder(folder)
    recent = ", ".join(entry.run.name for entry in entries[:3])
    raise RunError(
        f"There is no run {str(name)!r}; " + (f"the latest are: {recent}." if recent else "there is none yet.")
    )


def delete_run(run: RunFolder) -> None:
    """Remove a run with everything in it.

    Raises
    ------
    RunBusyError
        It is being trained; stop it first.
    """
    if run.is_alive():
        raise RunBusyError(f"{run.name} is being trained; stop it, then delete it.")
    removed = run.path.with_name(f".{run.name}.{secrets.token_hex(4)}.deleted")
    with storage_errors(run.path):
        run.path.rename(removed)
    sweep_deleted(run.path.parent)


def sweep_deleted(runs: Path) -> None:
    """Remove the folders of deleted runs, also those that a killed process or a failing disk left."""
    for left in runs.glob(".*.deleted"):
        shutil.rmtree(left, ignore_errors=True)


def _entry(run: RunFolder) -> RunEntry:
    status = run.status()
    try:
        config = run.config
        _ = run.source, run.environment()
    except RunError as error:
        return RunEntry(run=run, status=status.model_copy(update={"state": "failed", "message": str(error)}))
    return RunEntry(run=run, status=status, preset=config.preset, architecture=config.architecture)


def with_absolute_paths(config: RunConfig, source: DataSource) -> tuple[RunConfig, DataSource]:
    """Make the paths in a configuration and a data source absolute: the trainer works in another folder."""
    if config.weights not in ("default", "none"):
        config = config.model_copy(update={"weights": str(Path(config.weights).expanduser().resolve())})
    return config, absolute_source(source)


def absolute_source(source: DataSource) -> DataSource:
    """Make the paths in a data source absolute."""
    paths = {"root": source.root, "labels": source.labels, "identity": source.identity}
    absolute = {name: str(Path(path).expanduser().resolve()) for name, path in paths.items() if path}
    return source.model_copy(update={**absolute, "joined": tuple(absolute_source(one) for one in source.joined)})
