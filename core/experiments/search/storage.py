"""Where the trials of a search are stored: a journal in its folder, or a database that several hosts share.

A password never gets into a file, a log or a message: it comes in the URL or in an environment variable, and what is
kept and shown is the URL without it.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from core.errors import ConfigError, DocumentError, MGMTLabError, StorageError
from core.experiments.search.trial_queue import requeue_dead_trial
from core.files import parse_document
from core.files import storage_errors as file_errors

PASSWORD_VARIABLE = "MGMT_LAB_STORAGE_PASSWORD"
"""Where the password of a shared storage is looked for when its URL has none."""
JOURNAL = "journal.jsonl"
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 90
"""A trial in a database whose worker has not been heard of for so long is taken for dead."""
LOCK_SECONDS = 120.0
SECRETS = ("pass", "pwd", "secret", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlace:
    """Where a study lives."""

    name: str
    folder: Path
    """The search's folder: the journal lies in it."""
    url: str = ""
    """Of a shared database, without its password; empty for the journal."""
    password: str | None = field(default=None, repr=False)

    @property
    def shared(self) -> bool:
        """Whether it is a database that other hosts may use too."""
        return bool(self.url)

    def clean(self, text: object) -> str:
        """Return a message in one line and without the password."""
        line = " ".join(str(text).split())
        return line.replace(self.password, "***") if self.password else line


def read_place(name: str, folder: Path, url: str = "") -> StudyPlace:
    """Take a storage's URL apart, or take the journal where there is none.

    Parameters
    ----------
    name, folder
        Of the search.
    url
        As SQLAlchemy has it: ``sqlite:////shared/sweeps.db``, ``postgresql://user@host/database``. A password in it is
        used and not kept; without one, :data:`PASSWORD_VARIABLE` is read.

    Raises
    ------
    ConfigError
        It is no URL of a database, its database would end with the process, or a password stands in its query.
    """
    place = StudyPlace(name=name, folder=folder)
    if not url:
        return place
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # What was typed may hold a password: it is not repeated.
        raise ConfigError(
            "--storage is no URL of a database; write for example sqlite:////shared/sweeps.db or "
            f"postgresql://user@host/database, with the password in {PASSWORD_VARIABLE}."
        ) from None
    if any(word in key.lower() for key in parsed.query for word in SECRETS):
        raise ConfigError(f"Leave the password out of the query of --storage; set {PASSWORD_VARIABLE} to it.")
    if parsed.drivername.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise ConfigError(
            "A database in memory ends with its process; name a file: --storage sqlite:////path/to/sweeps.db."
        )
    password = parsed.password if parsed.password is not None else os.environ.get(PASSWORD_VARIABLE)
    bare = URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, dict(parsed.query)
    )
    return replace(place, url=bare.render_as_string(), password=password or None)


def open_study(
    place: StudyPlace,
    direction: Literal["minimize", "maximize"] = "maximize",
    *,
    create: bool = False,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """Open a study, or make it where it is missing.

    Parameters
    ----------
    place
        From :func:`read_place`.
    direction
        "maximize" or "minimize"; of a new study.
    create
        Make it where it is missing.
    pruner
        Decides which trials end early.

    Raises
    ------
    StorageError
        The database cannot be reached, or there is no such study; the message has no password.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = place.folder / JOURNAL
    if not create and not place.shared and not journal.exists():
        raise StorageError(f"{place.name} has no trial yet: {journal} is missing.")
    with storage_errors(place):
        storage = _open_database(place) if place.shared else _open_journal(journal)
        if create:
            return optuna.create_study(
                storage=storage, study_name=place.name, direction=direction, load_if_exists=True, pruner=pruner
            )
        try:
            return optuna.load_study(storage=storage, study_name=place.name, pruner=pruner)
        except KeyError:
            where = place.url or place.folder
            raise StorageError(f"There is no search {place.name} in {where}; start it first.") from None


@contextmanager
def storage_errors(place: StudyPlace) -> Iterator[None]:
    """Turn errors of a storage, or of the disk that its journal lies on, into a StorageError of one line, without the password.

    Raises
    ------
    StorageError
        In place of what SQLAlchemy, its driver or optuna raised.
    """
    try:
        with file_errors(place.folder / JOURNAL), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Heartbeats are experimental, and recorded here without Study.optimize.
            yield
    except ImportError as error:
        raise StorageError(
            f"The driver of {place.url} is not installed ({place.clean(error.__cause__ or error)}); "
            'for postgresql: pip install "psycopg[binary]".'
        ) from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        reason = place.clean(getattr(cause, "orig", None) or cause)
        raise StorageError(
            f"{place.url} cannot be used ({reason[:300]}); check that the database runs and accepts this user, then give the "
            "same command again."
        ) from None


@contextmanager
def heartbeat(study: optuna.Study, place: StudyPlace, trial: optuna.trial.Trial) -> Iterator[None]:
    """Record heartbeats of a trial in a shared database while the block runs; with a journal, the worker's lock serves."""
    if not place.shared:
        yield
        return
    storage: Any = study._storage
    ended = threading.Event()

    def record() -> None:
        while True:
            with (
                suppress(MGMTLabError),
                storage_errors(place),
            ):  # The trial's next report says that the database is gone.
                storage.record_heartbeat(trial._trial_id)
            if ended.wait(HEARTBEAT_SECONDS):
                return

    thread = threading.Thread(target=record, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _JournalLock:
    """A lock that the system lets go of when its holder is killed; optuna's own would wait for half a minute.

    Whoever gets it finds whole lines: behind a torn one, the journal could not be read again.
    """

    def __init__(self, journal: Path) -> None:
        self._journal, self._lock = journal, FileLock(journal.with_name(f".{journal.name}.lock"))

    def acquire(self) -> bool:
        self._lock.acquire(timeout=LOCK_SECONDS, poll_interval=0.01)
        if self._journal.exists():
            _cut_torn_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _open_journal(path: Path) -> Any:
    lock = _JournalLock(path)
    lock.acquire()
    lock.release()
    return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]


def _cut_torn_line(path: Path) -> None:
    """Take away a last line that a crash cut short, or that a failing disk wrote the first half of twice."""
    content = path.read_bytes()
    last = content.removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        parse_document(last)
    except DocumentError:
        whole = False
    else:
        whole = content.endswith(b"\n")
    if content and not whole:
        os.truncate(path, len(content) - len(last) - content.endswith(b"\n"))


def _open_database(place: StudyPlace) -> Any:
    url = make_url(place.url).set(password=place.password).render_as_string(hide_password=False)
    return optuna.storages.RDBStorage(
        url=url.replace("{", "{{").replace("}", "}}"),  # optuna fills in a template
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=GRACE_SECONDS,
        heartbeat_stale_trial_callback=requeue_dead_trial,
    )
