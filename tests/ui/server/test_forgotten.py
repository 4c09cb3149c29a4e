"""Names planted in what visitors hand in are nowhere after Delete, a closed page, or a kill: not in memory, not on the disk."""

from __future__ import annotations

import re
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.data.dicom_files import write_series
from tests.visiting import Visitor, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

PATIENCE_SECONDS = 240
"""On a quiet machine it takes 3 after Delete and 12 after a closed page; here others may work, too."""


def make_study(folder: Path, name: str, file_name: str = "") -> dict[str, bytes]:
    """A small FLAIR series in whose headers and pixels a name is planted, and another in its files' names."""
    pixels = np.random.default_rng(0).integers(0, 400, (4, 64, 64)).astype(np.uint16)
    planted = np.frombuffer(f"P{name}".ljust(24).encode(), np.uint16)
    pixels[:, 5, : len(planted)] = planted
    written = write_series(
        folder,
        pixels,
        PatientName=f"{name}^JANE",
        PatientID=name,
        SeriesDescription="FLAIR",
        PatientComments=f"of {name}",
    )
    return {f"{file_name}{path.name}": path.read_bytes() for path in written}


def find_in_memory(process: int, name: str) -> list[str]:
    """Where a name stands in the writable memory of a process and its children: each place with what is around it."""
    found = []
    for one in (psutil.Process(process), *psutil.Process(process).children(recursive=True)):
        with suppress(FileNotFoundError, ProcessLookupError):  # a child that has ended
            found += search_memory(Path(f"/proc/{one.pid}"), name)
    return found


def search_memory(proc: Path, name: str) -> list[str]:
    """Each place of a name in the writable memory of one process."""
    found = []
    with (proc / "mem").open("rb", 0) as memory:
        for line in (proc / "maps").read_text().splitlines():
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            if line.split()[1].startswith("rw"):
                memory.seek(start)
                try:
                    content = memory.read(end - start)
                except OSError:
                    continue  # not there any more
                for hit in re.finditer(name.encode(), content):
                    around = content[max(0, hit.start() - 60) : hit.end() + 40]
                    found.append(f"{proc.name} {line.split()[-1]}: {around!r}")
    return found


def find_on_disk(folder: Path, name: str) -> list[Path]:
    """Files below a folder that hold a name, or are called so."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if name in path.name or name.encode() in path.read_bytes()]


def hand_in(visitor: Visitor, files: dict[str, bytes]) -> None:
    """Upload a study and see its answer."""
    visitor.choose("Files or a zip")
    assert visitor.upload(files)
    assert visitor.says("Series in this scan")


def wait_until_gone(process: int, name: str) -> list[str]:
    """Where a name still stands when patience ends; nowhere, as soon as that is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (found := find_in_memory(process, name)) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def test_nothing_of_a_visitor_stays(tmp_path: Path) -> None:
    deleted, closed, killed = (f"ZEBRA{secrets.token_hex(4).upper()}" for _ in range(3))
    home = tmp_path / "home"
    with serving(home) as (server, port), Visitor(port) as one, Visitor(port) as other:
        hand_in(one, make_study(tmp_path / "one", deleted))
        hand_in(other, make_study(tmp_path / "other", closed, closed))
        for name in (deleted, closed):
            in_memory, on_disk = find_in_memory(server.pid, name), find_on_disk(home, name)
            print(f"a planted name stands at {len(in_memory)} places of the memory and in {len(on_disk)} files")
            assert in_memory
            assert on_disk
        other.leave()
        left = time.monotonic()
        assert one.press("Delete this scan")
        assert find_on_disk(home, deleted) == []
        assert wait_until_gone(server.pid, deleted) == []
        assert wait_until_gone(server.pid, closed) == []
        assert find_on_disk(home, closed) == []
        print(f"deleted, and closed: at 0 places and in 0 files, {time.monotonic() - left:.0f} s later at most")
        hand_in(one, make_study(tmp_path / "third", killed))
        server.kill()
        server.wait()
        assert find_on_disk(home, killed)
        print(f"killed: in {len(find_on_disk(home, killed))} files")
    with serving(home):
        assert find_on_disk(home, killed) == []
        print("started again: in 0 files")
