"""Workers in processes of their own: one is killed and nothing is lost; Ctrl-C stops them all and the search is resumed.

The journal and, where a PostgreSQL server is installed, a database: it needs no service, the test starts its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import MGMTLabError
from core.experiments.search.result import SearchResult, read_result
from core.experiments.search.search import find_search
from core.experiments.search.storage import PASSWORD_VARIABLE
from core.jobs.experiment import Experiment
from core.jobs.process import process_environment
from core.phantom.config import PhantomConfig
from core.runs.folder import RunFolder
from core.settings import PROJECT_ROOT, Settings
from tests.phantoms import copy_phantom

SMALL = ("--set", "weights=none", "--set", "size_px=32", "--set", "slice_count=1", "--set", "sequences=FLAIR",
         "--set", "epochs=4", "--space", "learning_rate=1e-4..1e-2:log", "--pruner", "none", "--sampler", "random")  # fmt: skip


SECRET = "a{b}c/d"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database, without its password."""
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "/").parent]
    binaries = found[-1]
    if not (binaries / "initdb").exists():
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))  # its socket's path must be short
    (folder / "password").write_text(SECRET)
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        user = {"user": "postgres"}
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, options = str(folder / "data"), f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    make = [binaries / "initdb", "-D", data, "-A", "scram-sha-256", "-U", "anna", f"--pwfile={folder}/password"]
    control = [binaries / "pg_ctl", "-D", data, "-w"]
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **user}
    subprocess.run(make, **quiet)
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], **quiet)
    try:
        yield f"postgresql://anna@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder)


def start(settings: Settings, data: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "core", "search", str(data), *SMALL, "--name", "mine", *more],
        cwd=PROJECT_ROOT,
        env={**process_environment(settings, 1), PASSWORD_VARIABLE: SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def result_of(settings: Settings, storage: str) -> SearchResult | None:
    try:
        return read_result(find_search(settings, "mine", storage=storage), settings)
    except MGMTLabError:
        return None


def epochs_of(settings: Settings) -> int:
    return sum(len(RunFolder(path).epochs()) for path in settings.runs.glob("mine-*"))


@pytest.mark.slow
@pytest.mark.parametrize("kept_in", ["journal", "postgres"])
def test_a_worker_that_is_killed_and_a_search_that_is_stopped_lose_nothing(
    settings: Settings,
    tmp_path: Path,
    kept_in: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)
    storage = request.getfixturevalue("postgres") if kept_in == "postgres" else ""
    place = ("--storage", storage) if storage else ()
    data = tmp_path / "cohort"
    copy_phantom(data, PhantomConfig(studies=12, slices=4, size=32))
    search = start(settings, data, "--trials", "4", "--parallel", "2", *place)
    wait_until(lambda: epochs_of(settings) >= 1)
    workers = psutil.Process(search.pid).children()
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    wait_until(lambda: (found := result_of(settings, storage)) is not None and found.count("finished") >= 1)
    search.send_signal(signal.SIGINT)
    assert search.wait(300) == 130
    assert Experiment(settings.experiments / "mine").count_workers() == 0
    stopped = result_of(settings, storage)
    assert stopped is not None
    assert stopped.count("running") == 0
    again = start(settings, data, "--trials", "4", *place)
    assert again.wait(300) == 0
    found = result_of(settings, storage)
    assert found is not None
    assert [(row.state, row.epochs) for row in found.trials] == [("finished", 4)] * 4
    assert len({row.run for row in found.trials}) == 4
    assert {path.name for path in settings.runs.glob("mine-*")} == {row.run for row in found.trials}
    kept = [path for path in settings.experiments.rglob("*") if path.is_file()]
    assert kept
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)
