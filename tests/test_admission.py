"""Heavy work of a hosted server takes turns."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.admission import AT_ONCE, admitted
from core.settings import Settings


@pytest.mark.parametrize("mode", ["hosted", "local"])
def test_no_more_than_so_many_work_at_once(settings: Settings, mode: str) -> None:
    settings = replace(settings, mode=mode)
    working: set[int] = set()
    seen: list[int] = []

    def work(number: int) -> None:
        with admitted(settings), admitted(settings):  # one that predicts reads, too
            working.add(number)
            seen.append(len(working))
            time.sleep(0.02)
            working.discard(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert (max(seen) <= AT_ONCE) == (mode == "hosted")


def test_a_turn_is_given_back_on_an_error(settings: Settings) -> None:
    hosted = replace(settings, mode="hosted")
    for _ in range(AT_ONCE + 1):
        with pytest.raises(ValueError, match="wrong"), admitted(hosted):
            raise ValueError("wrong")
    done = threading.Event()

    def enter() -> None:
        with admitted(hosted):
            done.set()

    threading.Thread(target=enter).start()
    assert done.wait(10)
