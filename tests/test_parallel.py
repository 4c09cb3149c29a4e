"""Parallel work: the same results wherever it is done, in order where asked, and nothing lost with a worker."""

from __future__ import annotations

import builtins
import os
import time
from pathlib import Path
from typing import Any

import pytest

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.dataset.table import build_table
from core.errors import ConfigError, DataError
from core.parallel import dask_cluster, on_cluster, run_tasks
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import Settings
from tests.cluster import start_cluster


def work(number: int, pause: float = 0.0) -> tuple[int, int]:
    time.sleep(pause)
    return number, os.getpid()


def fail(number: int) -> None:
    raise DataError(f"number {number}")


@pytest.mark.parametrize(("jobs", "processes"), [(1, 1), (2, 2)])
def test_results_come_in_the_order_of_the_tasks(jobs: int, processes: int) -> None:
    results = list(run_tasks(work, [(number, 0.2 if number == 0 else 0.05) for number in range(6)], jobs=jobs))
    assert [number for number, _ in results] == list(range(6))
    assert len({process for _, process in results}) == processes
    assert (os.getpid() in {process for _, process in results}) == (jobs == 1)


def test_or_as_they_are_finished() -> None:
    tasks = [(0, 1.0), *((number, 0.0) for number in range(1, 6))]
    first, *_ = run_tasks(work, tasks, jobs=2, ordered=False)
    assert first[0] != 0


def test_one_task_and_none_stay_here() -> None:
    assert list(run_tasks(work, [(7,)], jobs=8)) == [(7, os.getpid())]
    assert list(run_tasks(work, [], jobs=8)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_function_raises_is_raised_here(jobs: int) -> None:
    with pytest.raises(DataError, match="number"):
        list(run_tasks(fail, [(1,), (2,)], jobs=jobs))


def test_without_dask_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("distributed"):
            raise ImportError(name)
        return imports(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r'pip install "dask\[distributed\]"'), dask_cluster("tcp://127.0.0.1:1"):
        pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="an extra: pip install 'dask[distributed]'")
    monkeypatch.setattr("core.parallel.CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(ConfigError, match="No Dask scheduler answers"), dask_cluster(address):
            pass
    assert not on_cluster()


@pytest.mark.slow
def test_a_cluster_loses_nothing_when_a_worker_is_killed(tmp_path: Path, settings: Settings) -> None:
    pytest.importorskip("distributed", reason="an extra: pip install 'dask[distributed]'")
    make_phantom(tmp_path / "cohort", PhantomConfig(studies=6, slices=24, size=96))
    prep = PrepConfig(size_px=64)
    expected = build_table(scan_cohort(tmp_path / "cohort"), prep, settings, jobs=1)
    elsewhere = Settings(
        **{name: getattr(settings, name) for name in settings.__slots__} | {"home": tmp_path / "cluster-home"}
    )
    killed = []
    with start_cluster(tmp_path, 2) as (address, workers), dask_cluster(address):
        cohort = scan_cohort(tmp_path / "cohort", settings=elsewhere)

        def kill_half_way(done: int, total: int, what: str = "") -> None:
            if not killed and done >= total // 3:
                workers[0].kill()
                killed.append(done)

        found = build_table(cohort, prep, elsewhere, progress=kill_half_way)
        assert workers[0].wait() != 0
        assert workers[1].poll() is None
    assert killed
    assert killed[0] < len(found.arrays)
    assert not found.faults
    assert found.rows.equals(expected.rows)
    assert all((one == other).all() for one, other in zip(found.arrays, expected.arrays, strict=True))
