"""Where trials are written down: no password anywhere, and a journal that bears a crash."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from core.errors import ConfigError, StorageError
from core.experiments.search.storage import PASSWORD_VARIABLE, StudyPlace, open_study, read_place, storage_errors

SECRET = "s3cr{e}t/w0rd"
QUOTED = "s3cr%7Be%7Dt%2Fw0rd"


def test_a_password_is_taken_out_of_the_url(tmp_path: Path) -> None:
    place = read_place("mine", tmp_path, f"postgresql://anna:{QUOTED}@db.example/sweeps")
    assert place.url == "postgresql://anna@db.example/sweeps"
    assert place.password == SECRET
    assert SECRET not in repr(place)
    assert place.clean(f"login of anna with\n{SECRET} failed") == "login of anna with *** failed"


def test_a_password_is_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)
    assert read_place("mine", tmp_path, "postgresql://anna@db.example/sweeps").password == SECRET
    assert not read_place("mine", tmp_path).shared


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        (f"not a url {SECRET}", PASSWORD_VARIABLE),
        (f"postgresql://anna@db/sweeps?password={QUOTED}", PASSWORD_VARIABLE),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(tmp_path: Path, url: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_place("mine", tmp_path, url)
    assert remedy in str(caught.value)
    assert SECRET not in str(caught.value)
    assert QUOTED not in str(caught.value)


def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(tmp_path: Path) -> None:
    place = read_place("mine", tmp_path, f"sqlite:///{tmp_path}/nowhere/x.db")
    with pytest.raises(StorageError, match="cannot be used"):
        open_study(place, create=True)
    place = read_place("mine", tmp_path, f"nodatabase://anna:{QUOTED}@db.example/sweeps")
    with pytest.raises(StorageError) as caught:
        open_study(place, create=True)
    assert SECRET not in str(caught.value)
    assert "db.example" in str(caught.value)


def test_a_password_with_braces_reaches_the_driver_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    seen: list[str] = []

    def create(url: str, **options: object) -> None:
        seen.append(url)
        raise sqlalchemy.exc.ArgumentError(f"no connection for {SECRET}")

    monkeypatch.setattr(sqlalchemy.engine, "create_engine", create)
    with pytest.raises(StorageError) as caught:
        open_study(read_place("mine", tmp_path, f"postgresql://anna:{QUOTED}@db/sweeps"), create=True)
    assert sqlalchemy.engine.make_url(seen[0]).password == SECRET
    assert SECRET not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_study_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no trial yet"):
        open_study(StudyPlace(name="mine", folder=tmp_path))
    open_study(StudyPlace(name="other", folder=tmp_path), create=True)
    with pytest.raises(StorageError, match="no search mine"):
        open_study(StudyPlace(name="mine", folder=tmp_path))


@pytest.mark.parametrize("torn", [b'{"op_code":4,"worker', b'{"op_code":4,"wo{"op_code":4,"worker_id":1}\n'])
@pytest.mark.parametrize("anew", [True, False])
def test_a_torn_last_line_of_the_journal_is_cut_off(tmp_path: Path, torn: bytes, anew: bool) -> None:
    place = StudyPlace(name="mine", folder=tmp_path)
    study = open_study(place, create=True)
    study.tell(study.ask(), 0.5)
    with (tmp_path / "journal.jsonl").open("ab") as stream:
        stream.write(torn)
    again = open_study(place) if anew else study
    again.tell(again.ask(), 0.7)
    assert [trial.value for trial in open_study(place).trials] == [0.5, 0.7]


@pytest.mark.parametrize("reason", ["database or disk is full", "disk I/O error"])
def test_a_disk_that_fails_under_sqlite_is_named_and_loses_no_trial(tmp_path: Path, reason: str) -> None:
    """SQLite's own writes are all or nothing; both faults are its own here: of a page too many, and of a file too long."""
    place = read_place("mine", tmp_path, f"sqlite:///{tmp_path}/x.db")
    study = open_study(place, create=True)
    study.tell(study.ask(), 0.5)
    engine: Any = study._storage._backend.engine  # type: ignore[attr-defined]
    size, limits = (tmp_path / "x.db").stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)

    def bound(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # no less than there are

    if "full" in reason:
        event.listen(engine, "connect", bound)
        engine.dispose()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

    def go_on() -> None:
        with storage_errors(place):
            for _ in range(1000):
                study.tell(study.ask(), 0.4)

    try:
        with pytest.raises(StorageError, match=reason):
            go_on()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    again = open_study(place)
    again.tell(again.ask(), 0.9)
    assert [trial.value for trial in again.trials if trial.value is not None and trial.value != 0.4] == [0.5, 0.9]
