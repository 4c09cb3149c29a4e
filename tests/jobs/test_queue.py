from collections.abc import Callable, Iterator

import pytest

from core.config import RunConfig
from core.errors import HostedModeError, RunError
from core.jobs.queue import (
    cancel,
    list_waiting,
    move,
    next_queued,
    put_first,
    request_stop,
    resume,
    submit,
    worker_lock,
)
from core.runs.folder import RunFolder
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


@pytest.fixture
def runs(settings: Settings) -> list[RunFolder]:
    return [submit(settings, RunConfig(seed=seed), SOURCE) for seed in range(4)]


def test_a_run_that_waits_is_put_first(settings: Settings, runs: list[RunFolder]) -> None:
    put_first(runs[2], settings)
    assert next_queued(settings) == runs[2]
    put_first(runs[1], settings)
    put_first(runs[1], settings)
    assert list_waiting(settings) == [runs[1], runs[2], runs[0], runs[3]]
    request_stop(runs[0])
    with pytest.raises(RunError, match="is stopped; only a run that waits"):
        put_first(runs[0], settings)


def test_a_run_goes_up_and_down_by_one_place_and_stays_at_the_ends(settings: Settings, runs: list[RunFolder]) -> None:
    first, second, third, fourth = runs
    move(third, settings, "up")
    assert list_waiting(settings) == [first, third, second, fourth]
    move(first, settings, "down")
    assert list_waiting(settings) == [third, first, second, fourth]
    move(third, settings, "up")
    move(fourth, settings, "down")
    assert list_waiting(settings) == [third, first, second, fourth]
    put_first(fourth, settings)
    move(fourth, settings, "down")
    assert list_waiting(settings) == [third, fourth, first, second]


def test_the_order_is_in_the_runs_folders_and_another_server_sees_it(settings: Settings, runs: list[RunFolder]) -> None:
    move(runs[3], settings, "up")
    again = load_settings({"MGMT_LAB_HOME": str(settings.home)})
    assert list_waiting(again) == [runs[0], runs[1], runs[3], runs[2]]
    assert next_queued(again, besides=[runs[0], runs[1]]) == runs[3]


def test_cancelled_it_is_out_of_the_queue_and_can_come_back_at_its_end(
    settings: Settings, runs: list[RunFolder]
) -> None:
    cancel(runs[0])
    assert (runs[0].status().state, runs[0].status().message) == ("stopped", "Taken out of the queue.")
    assert list_waiting(settings) == runs[1:]
    with pytest.raises(RunError, match="is stopped; only a run that waits can be taken out"):
        cancel(runs[0])
    resume(runs[0], settings)
    assert list_waiting(settings) == [*runs[1:], runs[0]]


def test_a_run_whose_turn_has_come_is_not_cancelled_and_keeps_its_moment(
    settings: Settings, runs: list[RunFolder]
) -> None:
    before = runs[0].status().queued
    with runs[0].lock():
        with pytest.raises(RunError, match="has come already; stop it instead"):
            cancel(runs[0])
        move(runs[0], settings, "down")
        assert runs[0].status().queued == before


@pytest.mark.parametrize("act", [put_first, lambda run, settings: move(run, settings, "up")])
def test_visitors_of_a_demo_do_not_overtake_each_other(
    settings: Settings, runs: list[RunFolder], act: Callable[[RunFolder, Settings], None]
) -> None:
    hosted = load_settings({"MGMT_LAB_HOME": str(settings.home), "MGMT_LAB_MODE": "hosted"})
    with pytest.raises(HostedModeError, match="in the order of asking"):
        act(runs[2], hosted)
    assert list_waiting(settings) == runs
