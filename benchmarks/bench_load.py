"""Many visitors of a hosted demo at once: each opens Predict as a browser does, and asks for the sample or hands in a small study.

A server of its own answers on this machine. Printed for each wave: visitors, errors, seconds to the answer with its map (median,
95th percentile), the server's memory per visitor, its peak, and 25 s after all have gone. With ``--soak MINUTES`` waves of
``--visitors`` follow one another for so long.

Pass rules, fixed before the first run: no error; p95 <= 3 x one visitor's seconds x visitors / cores; of the sample <= 40 MB for each
visitor, of an upload its size + 60 MB each afterwards; a second wave peaks at <= 110% of the first. The machine is not quiet
where the load in the first line is above 0: the rules compare one run with itself.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from measuring import machine, parse_arguments

from core.phantom.study import make_sample_study
from tests.processes import add_up
from tests.visiting import Visitor, serving

MEGABYTE = 2**20
ANSWER = "Probability of methylated"


def visit(port: int, upload: bytes) -> tuple[float, bool]:
    """Return the seconds from the click, or the upload, to the end of the page, and whether the answer stood there."""
    with Visitor(port) as visitor:
        if upload:
            visitor.choose("Files or a zip")
        began = time.perf_counter()
        well = visitor.upload({"study.zip": upload}) if upload else visitor.press("Predict the sample")
        return time.perf_counter() - began, well and visitor.says(ANSWER)


def wave(server: psutil.Process, port: int, visitors: int, upload: bytes) -> tuple[list[float], int, float]:
    """Let so many visit at once; return their seconds, the errors, and the server's peak of memory in MB."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], memory(server))

    def one(_: int) -> tuple[float, bool]:
        try:
            return visit(port, upload)
        except (OSError, RuntimeError, LookupError) as error:
            print(f"error: {error!r}", flush=True)
            return float("nan"), False

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(visitors) as pool:
        found = list(pool.map(one, range(visitors)))
    over.set()
    watcher.join()
    return [seconds for seconds, _ in found], sum(not well for _, well in found), peak[0]


def memory(server: psutil.Process) -> float:
    """What the server and its decoders hold, in MB."""
    return add_up(lambda one: one.memory_info().rss, (server, *server.children(recursive=True))) / MEGABYTE


def make_upload(folder: Path) -> bytes:
    """A synthetic study as a zip."""
    study = make_sample_study(folder, seed=77, mgmt_value=1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(study.rglob("*")):
            if path.is_file():
                archive.write(path, str(path.relative_to(study.parent)))
    return stream.getvalue()


def measure(
    server: psutil.Process, port: int, upload: bytes, visitors: int, waves: int, minutes: float, rest_s: float
) -> bool:
    """Print a line for each wave, and return whether the rules are kept."""
    visit(port, upload)  # the first one waits for what the server has not loaded yet
    alone = float(np.median([visit(port, upload)[0] for _ in range(3)]))
    time.sleep(rest_s)
    rest, cores = memory(server), len(os.sched_getaffinity(0))
    size = len(upload) / MEGABYTE
    print(f"one visitor: {alone:.2f} s; server at rest: {rest:.0f} MB; {size:.1f} MB each handed in")
    print("wave  visitors  errors  p50 s  p95 s  p95 / allowed  MB a visitor  peak MB  after MB  load")
    end, peaks, kept = time.monotonic() + 60 * minutes, [], True
    while len(peaks) < waves or time.monotonic() < end:
        seconds, errors, peak = wave(server, port, visitors, upload)
        time.sleep(rest_s)
        after, p95, allowed = memory(server), float(np.nanpercentile(seconds, 95)), 3 * alone * visitors / cores
        each = ((after if upload else peak) - rest) / visitors
        peaks.append(peak)
        print(
            f"{len(peaks):4}  {visitors:8}  {errors:6}  {np.nanmedian(seconds):5.1f}  {p95:5.1f}  {p95 / allowed:13.2f}  {each:12.1f}"
            f"  {peak:7.0f}  {after:8.0f}  {os.getloadavg()[0]:4.1f}",
            flush=True,
        )
        kept = kept and not errors and p95 <= allowed and each <= (size + 60 if upload else 40)
    return kept and max(peaks) <= 1.1 * peaks[0]


def main() -> int:
    """Print the tables of the sample and of an upload, and return 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=32)
    parser.add_argument("--waves", type=int, default=2)
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES")
    parser.add_argument("--what", choices=("sample", "upload", "both"), default="both")
    arguments = parse_arguments(parser, visitors=2, waves=1, what="sample")
    print(machine())
    kept = True
    with tempfile.TemporaryDirectory() as name:
        uploads = {"sample": b"", "upload": b"" if arguments.what == "sample" else make_upload(Path(name) / "study")}
        for what in uploads if arguments.what == "both" else [arguments.what]:
            with serving(Path(name) / what) as (process, port):
                print(f"\n{what}:")
                kept = measure(
                    psutil.Process(process.pid), port, uploads[what], arguments.visitors, arguments.waves, arguments.soak,
                    1 if arguments.tiny else 25,
                ) and kept  # fmt: skip
    print(f"n = {arguments.visitors} visitors a wave; rules kept: {'yes' if kept else 'no'}")
    return 0 if kept or arguments.tiny else 1


if __name__ == "__main__":
    sys.exit(main())
