"""A process that ends while it is looked at counts for nothing."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tests.processes import add_up


def test_a_process_that_has_ended_is_left_out() -> None:
    started = subprocess.Popen([sys.executable, "-c", ""])
    ended = psutil.Process(started.pid)
    started.wait()
    living = psutil.Process()
    found = add_up(lambda process: process.memory_info().rss, [ended, living])
    assert found > 0
