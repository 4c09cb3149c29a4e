"""One visitor does not take the whole demo; a refusal says when to come again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from core.config import RunConfig, apply_settings
from core.errors import HostedModeError
from core.jobs import quota, worker
from core.jobs.queue import mark_queued, request_stop, resume, submit
from core.jobs.quota import KEPT, LARGEST
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings

SOURCE = DataSource(root="/cohort")


@pytest.fixture
def hosted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A demo whose worker never comes."""
    monkeypatch.setattr("core.jobs.queue.start_detached", Mock())
    return replace(settings, mode="hosted", hosted_runs=2, hosted_queue=3, hosted_minutes=30)


def ask(settings: Settings, owner: str, seed: int) -> RunFolder:
    return submit(settings, RunConfig(epochs=2, seed=seed), SOURCE, owner=owner)


def test_a_visitor_and_all_together_have_so_many_places(hosted: Settings) -> None:
    first, second = ask(hosted, "a", 0), ask(hosted, "a", 1)
    assert ask(hosted, "a", 1) == second  # two clicks are one run
    started = datetime.now(UTC) - timedelta(minutes=10)
    first.write_status(first.status().model_copy(update={"state": "running", "started": started.isoformat()}))
    with first.lock():  # it trains
        with pytest.raises(HostedModeError, match=r"2 of your runs wait or train.*in 20 minutes at the latest"):
            ask(hosted, "a", 2)
        ask(hosted, "b", 0)
        with pytest.raises(HostedModeError, match=r"3 runs of all visitors.*Try again in 20 minutes"):
            ask(hosted, "c", 0)
    request_stop(second)
    ask(hosted, "a", 3)
    with pytest.raises(HostedModeError, match="of your runs wait"):
        resume(second, replace(hosted, hosted_runs=1))


def test_a_local_machine_asks_nobody(hosted: Settings) -> None:
    local = replace(hosted, mode="local")
    for seed in range(4):
        ask(local, "", seed)


@pytest.mark.parametrize("name", sorted(LARGEST))
def test_size_has_a_limit(hosted: Settings, name: str) -> None:
    def config(value: int) -> RunConfig:
        extra: dict[str, Any] = {"architecture": "two_stage", "channels": "sequences", "grid_mm": 2.0}
        return apply_settings(RunConfig(epochs=1), {name: value, **(extra if name == "mask_epochs" else {})})

    submit(hosted, config(LARGEST[name]), SOURCE)
    with pytest.raises(HostedModeError, match=f"{name} {LARGEST[name] + 1} is more than"):
        submit(hosted, config(LARGEST[name] + 1), SOURCE)


def test_a_visitor_keeps_so_many_runs(hosted: Settings) -> None:
    for number in range(KEPT):
        RunFolder.create(hosted, RunConfig(), SOURCE, f"old-{number}", "a", state="finished")
    with pytest.raises(HostedModeError, match="delete one"):
        ask(hosted, "a", 0)


def test_a_run_that_is_kept_already_is_resumed(hosted: Settings) -> None:
    for number in range(KEPT):
        run = RunFolder.create(hosted, RunConfig(), SOURCE, f"old-{number}", "a", state="stopped")
    resume(run, hosted)
    assert run.status().state == "queued"


def test_two_resumes_at_once_take_one_place(hosted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def mark_late(run: RunFolder) -> None:
        time.sleep(0.3)
        mark_queued(run)

    monkeypatch.setattr("core.jobs.queue.mark_queued", mark_late)
    runs = [
        RunFolder.create(hosted, RunConfig(seed=seed), SOURCE, f"run-{seed}", "a", state="stopped") for seed in (0, 1)
    ]
    with ThreadPoolExecutor() as both:
        asked = [both.submit(resume, run, replace(hosted, hosted_runs=1)) for run in runs]
    refused = [type(one.exception()) for one in asked if one.exception()]
    assert refused == [HostedModeError]
    assert sorted(run.status().state for run in runs) == ["queued", "stopped"]


def test_all_visitors_keep_so_many_runs(hosted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "KEPT_IN_ALL", 3)
    for number in range(3):
        RunFolder.create(hosted, RunConfig(), SOURCE, f"old-{number}", f"visitor-{number}", state="finished")
    with pytest.raises(HostedModeError, match="keeps 3 runs of all visitors"):
        ask(hosted, "another", 0)


def test_a_run_that_trains_too_long_is_stopped_and_then_killed(hosted: Settings) -> None:
    run, process = Mock(), Mock()
    trainer = worker._Trainer(run=run, process=process, queued="", began=time.monotonic() - 31 * 60, kills=0)
    worker._end_overdue(trainer, hosted)
    run.ask_to_stop.assert_called_once()
    process.kill.assert_not_called()
    worker._end_overdue(replace(trainer, began=trainer.began - worker.HEED_SECONDS), hosted)
    process.kill.assert_called_once()
