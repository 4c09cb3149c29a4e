"""serve http: what is refused before it listens, and that it answers and ends when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from core.settings import PROJECT_ROOT
from tests.cli.commands import Command


def test_what_is_refused(command: Command, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("short\n")
    command("serve", "http", "--host", "0.0.0.0").assert_refused("--token-file")
    command("serve", "http", "--token-file", token).assert_refused("16 characters")
    command("serve", "http", "--token-file", tmp_path / "none").assert_refused("cannot be read")
    command("serve", "http", "--checkpoint", "none").assert_refused("There is no checkpoint")
    for port in ("0", "65536", "99999", "-1", "http"):
        command("serve", "http", f"--port={port}").assert_refused("a whole number of 1 to 65535")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = command("serve", "http", "--port", taken.getsockname()[1])
    assert found.status == 2
    assert "cannot be used; name another" in found.stderr


@pytest.mark.slow
def test_it_answers_and_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    leftover = tmp_path / "cache" / "serve" / f"http-{port}" / "of-a-killed-server"
    leftover.mkdir(parents=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "core", "serve", "http", "--port", str(port)],
        cwd=PROJECT_ROOT, env={**os.environ, "MGMT_LAB_HOME": str(tmp_path)},
    )  # fmt: skip
    try:
        for _ in range(1200):
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        assert answer.json()["status"] == "ok"
        assert "server" not in answer.headers
        assert not leftover.exists()
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=120) in (0, 130)
