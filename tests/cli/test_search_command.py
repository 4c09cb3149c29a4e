"""search: a command that finds, shows and judges, and says in one line what it cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.runs.folder import list_runs
from core.runs.ledger import list_evaluations
from core.settings import load_settings
from tests.cli.commands import TINY, Command

SMALL = (
    *TINY, "--set", "epochs=1", "--set", "size_px=32", "--set", "slice_count=1", "--set", "sequences=FLAIR",
    "--space", "learning_rate=1e-4..1e-2:log", "--space", "optimiser=sgd,adamw",
)  # fmt: skip


def test_a_search_is_shown_and_judged_once(command: Command, patients: Path) -> None:
    first = command("search", patients, *SMALL, "--trials", "2", "--json")
    assert first.status == 0, first.stderr
    found = first.json
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 2
    assert {entry.run.name for entry in list_runs(load_settings())} == {"search-000", "search-001"}
    assert found["best"]["value"] == max(trial["value"] for trial in found["trials"])
    assert found["noise"]["compared"] == 2
    assert found["test"]["looked_at"] == 0
    shown = command("search", "show", "search")
    assert "have not been evaluated" in shown.stdout
    assert "Were all 2 trials equally good" in shown.stdout
    judged = command("search", "judge", "search", "--json").json
    assert judged["test"]["looked_at"] == 1
    assert judged["test"]["judgement"]["patient"]["auroc"]["n"] == judged["test"]["patients"]
    again = command("search", patients, *SMALL, "--trials", "2", "--judge")
    assert "counts as no further evaluation" in again.stdout
    assert "evaluated once" in again.stdout
    assert len(list_runs(load_settings())) == 2
    ledger = (load_settings().runs / "test_looks.jsonl").read_text()
    assert len(ledger.splitlines()) == 1
    assert list_evaluations("0" * 12, load_settings()) == []


def test_more_than_one_look_is_warned_of(command: Command, patients: Path) -> None:
    from core.experiments.search.search import find_search
    from core.runs.ledger import record_evaluation

    assert command("search", patients, *SMALL, "--trials", "1").status == 0
    settings = load_settings()
    record_evaluation(find_search(settings, "search").split.test_digest, "another", settings)
    assert "WARNING" not in command("search", "show", "search").stdout
    assert "evaluated 2 times, with any run. WARNING" in command("search", "judge", "search").stdout


def test_what_cannot_be_searched_is_one_line(command: Command, patients: Path) -> None:
    command("search", patients, *TINY, "--space", "sede=1,2").assert_refused("Did you mean seed")
    command("search", patients, *TINY, "--space", "learning_rate=1..0").assert_refused("smaller number first")
    command("search", patients, *SMALL, "--preset", "paper").assert_refused("split_unit=patient")
    command("search", patients, *SMALL, "--storage", "sqlite://").assert_refused("name a file")
    command("search", patients, *SMALL, "--name", "../x").assert_refused("cannot name a search")
    command("search", "nowhere", *SMALL).assert_refused("no folder nowhere")
    command("search", "judge", "mine").assert_refused("no search 'mine'")
    command("search", patients, "mine").assert_refused("one word too many")


def test_a_password_is_in_no_file_and_no_message(
    command: Command, patients: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hidd3nw0rd"
    result = command("search", patients, *SMALL, "--storage", f"nodatabase://anna:{secret}@db.example/sweeps")
    result.assert_refused("nodatabase://anna@db.example/sweeps")
    assert secret not in result.stderr
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]
