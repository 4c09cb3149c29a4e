from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import HostedModeError, RunError
from core.jobs.queue import ensure_worker, next_queued, request_stop, resume, submit, worker_lock
from core.runs.folder import RunFolder, list_runs
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import Settings, load_settings

SOURCE = DataSource(root="/data/rsna")


@pytest.fixture(autouse=True)
def busy_worker(settings: Settings) -> Iterator[None]:
    """A worker that lives and never gets to the queue: nothing is started."""
    settings.runs.mkdir(parents=True)
    with hold_lock(worker_lock(settings), "busy"):
        yield


def test_clicks_at_the_same_time_start_one_run(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = set(pool.map(lambda _: submit(settings, RunConfig(), SOURCE), range(16)))
    assert len(runs) == 1
    assert len(list_runs(settings)) == 1


def test_another_configuration_cohort_owner_or_name_is_another_run(settings: Settings) -> None:
    first = submit(settings, RunConfig(), SOURCE)
    others = [
        submit(settings, RunConfig(seed=1), SOURCE),
        submit(settings, RunConfig(), DataSource(root="/data/other")),
        submit(settings, RunConfig(), SOURCE, owner="visitor"),
        submit(settings, RunConfig(), SOURCE, name="mine"),
    ]
    assert len({first, *others}) == 5
    assert submit(settings, RunConfig(), SOURCE, name="mine") == others[-1]


def test_a_run_that_has_ended_can_be_repeated(settings: Settings) -> None:
    first = submit(settings, RunConfig(), SOURCE)
    first.write_status(first.status().model_copy(update={"state": "finished"}))
    assert submit(settings, RunConfig(), SOURCE) != first


def test_the_queue_is_served_in_the_order_of_asking(settings: Settings) -> None:
    runs = [submit(settings, RunConfig(seed=seed), SOURCE) for seed in range(3)]
    assert next_queued(settings) == runs[0]
    request_stop(runs[0])
    assert runs[0].status().state == "stopped"
    assert not runs[0].stop_requested()
    assert next_queued(settings) == runs[1]
    resume(runs[0], settings)
    resume(runs[0], settings)
    for run in (runs[1], runs[2], runs[0]):
        assert next_queued(settings) == run
        run.write_status(run.status().model_copy(update={"state": "finished"}))
    assert next_queued(settings) is None


def test_a_run_in_training_gets_the_stop_file(settings: Settings) -> None:
    run = submit(settings, RunConfig(), SOURCE)
    with run.lock():
        run.write_status(run.status().model_copy(update={"state": "running"}))
        request_stop(run)
        assert run.stop_requested()
        resume(run, settings)
        assert run.status().state == "running"
    assert run.status().state == "interrupted"
    resume(run, settings)
    assert run.status().state == "queued"
    assert not run.stop_requested()


def test_what_has_ended_is_neither_stopped_nor_resumed(settings: Settings) -> None:
    run = submit(settings, RunConfig(), SOURCE)
    run.write_status(run.status().model_copy(update={"state": "finished"}))
    with pytest.raises(RunError, match="is finished; there is nothing to stop"):
        request_stop(run)
    with pytest.raises(RunError, match="has finished"):
        resume(run, settings)


def test_a_run_outside_is_resumed_in_the_foreground(settings: Settings, tmp_path: Path) -> None:
    run = RunFolder.create(settings, RunConfig(), SOURCE, folder=tmp_path / "mine", state="stopped")
    with pytest.raises(RunError, match="python -m core runs resume"):
        resume(run, settings)


def test_a_visitor_may_not_train_for_ever(settings: Settings) -> None:
    hosted = load_settings({"MGMT_LAB_HOME": str(settings.home), "MGMT_LAB_MODE": "hosted"})
    with pytest.raises(HostedModeError, match="30 epochs are more than the 5"):
        submit(hosted, RunConfig(), SOURCE)
    with pytest.raises(HostedModeError, match="reads no files"):
        submit(hosted, RunConfig(epochs=5, weights="/etc/passwd"), SOURCE)
    assert submit(hosted, RunConfig(epochs=5), SOURCE).status().state == "queued"


def test_an_empty_queue_needs_no_worker(tmp_path: Path) -> None:
    idle = load_settings({"MGMT_LAB_HOME": str(tmp_path / "idle")})
    ensure_worker(idle)
    assert not idle.runs.exists()
