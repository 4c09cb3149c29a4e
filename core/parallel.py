"""The one place through which work goes to several processes, of this machine or of a Dask cluster.

Work is a function and a list of arguments; it runs in this process where there is little of it, in processes
that joblib keeps otherwise, and on a Dask cluster inside :func:`dask_cluster`. What a worker makes that is large
it writes to the cache and returns where: results travel, so they are to be small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from core.errors import ConfigError

CONNECT_SECONDS = 10
CLUSTER_TASKS = 64
"""Tasks handed to a cluster at once: enough to keep a few dozen workers busy, few enough to hold in memory."""

Result = TypeVar("Result")

one_blas_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""Decorates what fits models of few patients: BLAS's threads would wait for each other longer than the fits take."""

_cluster: ContextVar[str | None] = ContextVar("cluster", default=None)


def on_cluster() -> bool:
    """Whether work goes to a Dask cluster here, see :func:`dask_cluster`."""
    return _cluster.get() is not None


def run_tasks(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], *, jobs: int, ordered: bool = True
) -> Iterator[Result]:
    """Call a function once per task and yield what it returns, as it comes.

    An iterator that is closed or forgotten cancels what has not begun. A cluster's worker that dies loses
    nothing: its tasks are given to others.

    Parameters
    ----------
    function
        Of a module, so that another process can import it; ``function(*task)`` is called.
    tasks
        The arguments of each call.
    jobs
        Processes; with 1, or one task, everything stays in this process. A cluster uses all its workers.
    ordered
        Yield in the order of the tasks; otherwise as they are finished.

    Raises
    ------
    Exception
        What the function raised first.
    """
    jobs = min(jobs, len(tasks))
    if not tasks or (jobs <= 1 and not on_cluster()):
        for task in tasks:
            yield function(*task)
        return
    from joblib import Parallel, delayed, parallel_config

    place: dict[str, Any]
    if on_cluster():
        place = {"backend": "dask", "n_jobs": -1}
        dispatched: int | str = CLUSTER_TASKS
    else:
        # One numerical thread each: the processes already fill the cores.
        place = {"backend": "loky", "n_jobs": jobs, "inner_max_num_threads": 1}
        dispatched = "2 * n_jobs"
    with parallel_config(**place):
        pool = Parallel(
            return_as="generator" if ordered else "generator_unordered", batch_size=1, pre_dispatch=dispatched
        )
        results: Iterator[Result] = pool(delayed(function)(*task) for task in tasks)
    yield from results


@contextmanager
def dask_cluster(address: str) -> Iterator[None]:
    """Send the work of :func:`run_tasks` to a Dask cluster for as long as the block lasts.

    Its workers must be able to import ``core`` and see the data and the cache under the same paths.

    Parameters
    ----------
    address
        The scheduler's, for example tcp://10.0.0.1:8786.

    Raises
    ------
    ConfigError
        Dask is not installed, or no scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            'Work on a cluster needs Dask, which is not installed: pip install "dask[distributed]".'
        ) from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"No Dask scheduler answers at {address!r} ({type(error).__name__}); start one with `dask scheduler` "
            "and name its address, for example tcp://10.0.0.1:8786."
        ) from error
    token = _cluster.set(address)
    try:
        with client:
            yield
    finally:
        _cluster.reset(token)
