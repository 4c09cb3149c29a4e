"""Heavy work of a hosted server takes turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.admission import AT_ONCE, Line, admitted
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


def test_turns_are_in_the_order_of_asking_and_each_hears_its_place() -> None:
    line = Line(1)
    told: dict[int, list[int]] = {number: [] for number in range(4)}
    order: list[int] = []

    def work(number: int) -> None:
        with line.turn(told[number].append):
            order.append(number)

    with line.turn():
        threads = [threading.Thread(target=work, args=(number,)) for number in told]
        for number, thread in enumerate(threads):
            thread.start()
            while not told[number]:
                time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert order == list(told)
    assert [places[0] for places in told.values()] == [1, 2, 3, 4]
    assert all(places == sorted(places, reverse=True) for places in told.values())


def test_what_began_earlier_goes_first_whenever_it_asks() -> None:
    line, order = Line(1), []
    waiting = [threading.Event() for _ in range(3)]

    def work(number: int) -> None:
        with line.turn(lambda place: waiting[number].set(), since=float(number)):
            order.append(number)

    with line.turn():
        threads = [threading.Thread(target=work, args=(number,)) for number in (2, 0, 1)]
        for thread, number in zip(threads, (2, 0, 1), strict=True):
            thread.start()
            assert waiting[number].wait(60)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]


def test_a_place_is_told_only_where_it_is_better() -> None:
    line, told = Line(1), []

    def hear(place: int) -> None:
        told.append(place)
        heard.set()

    heard, done = threading.Event(), threading.Event()

    def wait(since: float, tell: Callable[[int], None], ended: threading.Event) -> None:
        with line.turn(tell, since):
            ended.set()

    with line.turn():
        late = threading.Thread(target=wait, args=(2.0, hear, done))
        late.start()
        assert heard.wait(60)
        queued = [threading.Event() for _ in range(3)]
        early = [
            threading.Thread(target=wait, args=(1.0, lambda place, one=one: one.set(), threading.Event()))
            for one in queued
        ]
        for thread, one in zip(early, queued, strict=True):
            thread.start()
            assert one.wait(60)
        time.sleep(1.5)  # it looks at its place once a second
    for thread in (late, *early):
        thread.join()
    assert done.is_set()
    assert told == [1]


def test_who_leaves_the_line_holds_up_nobody() -> None:
    line = Line(1)

    def leave(place: int) -> None:
        raise ValueError("gone")

    with line.turn(), pytest.raises(ValueError, match="gone"), line.turn(leave):
        pass
    with line.turn():
        pass
