"""A killed server leaves nothing that the next start does not remove."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.settings import PROJECT_ROOT
from ui.server.workspace import PREFIX, sweep

SERVER = (
    "import time\n"
    "from ui.server.workspace import open_workspace\n"
    "(open_workspace() / 'scan.dcm').write_text('PLANTED^NAME')\n"
    "print('ready', flush=True)\n"
    "{then}\n"
)


def start(temporary: Path, then: str) -> subprocess.Popen[str]:
    """A process that holds a visitor's file."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER.format(then=then)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_server_left_is_swept_and_what_another_holds_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, living = (start(tmp_path, "time.sleep(600)") for _ in range(2))
    assert len(list(tmp_path.rglob("scan.dcm"))) == 2
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (tmp_path / "mgmt-lab-other").mkdir()
    (left,) = sweep()
    assert left.name.startswith(f"{PREFIX}{killed.pid}-")
    assert len(list(tmp_path.rglob("scan.dcm"))) == 1
    living.kill()
    living.wait()
    assert len(sweep()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mgmt-lab-other"]


def test_a_server_that_ends_removes_its_folder(tmp_path: Path) -> None:
    start(tmp_path, "").wait(timeout=30)
    assert list(tmp_path.iterdir()) == []
