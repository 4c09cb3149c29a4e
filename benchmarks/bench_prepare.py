"""The whole way: a cold cohort of DICOM to arrays of 224 x 224, ours beside a plain pydicom and OpenCV loop.

Ours indexes the folder (finds, checks and names the series), takes a digest of every file, cuts the head out, windows by
the percentiles of the volume's tissue, keeps the millimetre proportions, and writes a cache that a killed run can go on
from. Three loops are what one writes oneself, in one process:

- "bare": dcmread, pixel_array, every slice stretched between its own extremes, cv2.resize of every slice. It gives
  images that cannot be compared with each other, and is as fast as a loop can be.
- "same window, all": reads every slice, sorts by position, windows by the percentiles of the volume's tissue, and
  resizes every slice that is not empty: what ours gives with slice_choice=all, without the cropping.
- "same window, 8": the same, but only the 8 slices around the middle are windowed and resized: what ours gives by default.

All loops keep their arrays in memory; ours writes them. Everyone starts with files that lie in the system's page cache.
The cohort is taken in blocks in which the candidates take turns, ours with an empty cache each time. Worker processes
are started before the first block, and what that takes is printed: a command pays it once.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measuring import cpu_seconds_of_all, machine, parse_arguments, print_table
from numpy.typing import NDArray

SIZE = 224
KEPT = 8
PERCENTILES = (0.5, 99.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=4, help="parts of the cohort")
    parser.add_argument("--rounds", type=int, default=2, help="times through the cohort")
    parser.add_argument("--cohort", type=Path, help="one that is there already, of 96 slices of 384 x 384")
    parser.set_defaults(slices=96, size=384)
    arguments = parse_arguments(parser, studies=2, blocks=1, rounds=1, slices=12, size=48)
    with tempfile.TemporaryDirectory() as folder:
        cohort = arguments.cohort or make_cohort(Path(folder) / "cohort", arguments)
        measure(cohort, Path(folder), arguments)


def make_cohort(folder: Path, arguments: argparse.Namespace) -> Path:
    """Four sequences a study; 96 slices of 384 x 384 are 113 MB."""
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig

    make_phantom(folder, PhantomConfig(studies=arguments.studies, slices=arguments.slices, size=arguments.size))
    return folder


def measure(cohort: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Let the candidates take turns over blocks of studies, and print slices per second and ratios."""
    studies = sorted((cohort / "train").iterdir())[: arguments.studies]
    parts = np.array_split(np.array([str(study) for study in studies], dtype=object), arguments.blocks)
    roots = [link(list(part), folder / f"part-{number}") for number, part in enumerate(parts)]
    candidates: dict[str, Callable[[Path], int]] = {
        "bare loop": lambda root: bare(root),
        "loop, same window, all": lambda root: windowed(root, None),
        "loop, same window, 8": lambda root: windowed(root, KEPT),
    }
    for choice in ("all", "spread"):
        for jobs in (1, 2):
            candidates[f"MGMT Lab, {choice}, {jobs} process{'es'[: 2 * (jobs > 1)]}"] = (
                lambda root, choice=choice, jobs=jobs: ours(root, folder / "home", choice, jobs)
            )
    start = start_workers()
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    cpu: dict[str, list[float]] = {name: [] for name in candidates}
    slices = 0
    for root in roots * arguments.rounds:
        for name, run in candidates.items():
            began, spent = time.perf_counter(), cpu_seconds_of_all()
            slices = run(root)
            wall[name].append((time.perf_counter() - began) / slices)
            cpu[name].append((cpu_seconds_of_all() - spent) / slices)
            shutil.rmtree(folder / "home", ignore_errors=True)
    report(wall, cpu, f"{len(studies)} studies of {slices // len(parts[-1])} slices to {SIZE} x {SIZE}", slices, start)


def report(wall: dict[str, list[float]], cpu: dict[str, list[float]], what: str, slices: int, start: float) -> None:
    """Print medians, and how many times faster each is than the three loops, by the clock."""
    seconds = {name: statistics.median(values) for name, values in wall.items()}
    loops = list(seconds)[:3]
    rows = [
        (
            name,
            f"{1 / seconds[name]:.0f}",
            f"{statistics.median(cpu[name]) * 1e6:.0f}",
            *(seconds[loop] / seconds[name] for loop in loops),
        )
        for name in seconds
    ]
    blocks = len(wall[loops[0]])
    print_table(
        f"{what}, medians of n = {blocks} blocks of {slices} slices ({machine()})",
        ("way", "slices/s", "CPU us a slice", *(f"x {loop}" for loop in loops)),
        rows,
    )
    for choice in ("all", "spread"):
        one, two = seconds[f"MGMT Lab, {choice}, 1 process"], seconds[f"MGMT Lab, {choice}, 2 processes"]
        print(
            f"  two processes beside one, {choice}: {one / two:.2f} times as fast; with the {start:.1f} s that they take "
            f"to start, {one * slices / (two * slices + start):.2f} times on {slices} slices and "
            f"{one * 350_000 / (two * 350_000 + start):.2f} times on 350,000"
        )


def start_workers() -> float:
    """Start two worker processes and have them import what they need; returns the seconds it took."""
    from core.parallel import run_tasks

    began = time.perf_counter()
    assert len(set(run_tasks(import_cache, [(number,) for number in range(2)], jobs=2))) == 2
    return time.perf_counter() - began


def import_cache(number: int) -> int:
    """Import what preparing imports."""
    from core.data.prepare import cache

    time.sleep(0.2)  # so that each worker gets one
    return number + 0 * cache.FORMAT_VERSION


def link(studies: list[str], root: Path) -> Path:
    """Put some studies into a cohort of their own."""
    (root / "train").mkdir(parents=True)
    for study in studies:
        (root / "train" / Path(study).name).symlink_to(study)
    return root


def ours(root: Path, home: Path, choice: str, jobs: int) -> int:
    """Index, prepare through an empty cache, and open every array."""
    from core.config import PrepConfig
    from core.data.cohort import scan_cohort
    from core.dataset.table import build_table
    from core.settings import load_settings

    settings = load_settings({"MGMT_LAB_HOME": str(home)})
    cohort = scan_cohort(root, settings=settings, jobs=jobs)
    prep = PrepConfig.model_validate({"size_px": SIZE, "slice_choice": choice, "slice_count": KEPT})
    table = build_table(cohort, prep, settings, jobs=jobs)
    assert all(array.shape[1:] == (SIZE, SIZE) for array in table.arrays)
    return cohort.file_count


def list_series(root: Path) -> Iterator[list[Path]]:
    """The files of each series."""
    for series in sorted(root.glob("train/*/*")):
        yield sorted(series.iterdir())


def bare(root: Path) -> int:
    """Read, stretch and resize every slice by itself."""
    import cv2
    import pydicom

    cv2.setNumThreads(1)
    count = 0
    for files in list_series(root):
        images = []
        for path in files:
            pixels = pydicom.dcmread(path).pixel_array.astype(np.float32)
            pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1.0) * 255
            images.append(cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8))
        count += len(np.stack(images))
    return count


def windowed(root: Path, kept: int | None) -> int:
    """Read a series, window it as a volume, and resize the slices around its middle, or all that are not empty."""
    import cv2
    import pydicom

    cv2.setNumThreads(1)
    count = 0
    for files in list_series(root):
        volume = read_sorted([pydicom.dcmread(path) for path in files])
        low, high = np.percentile(volume[volume > 0], PERCENTILES)
        filled = np.flatnonzero(volume.any(axis=(1, 2)))
        if kept:
            quarter = len(filled) // 4
            filled = filled[np.linspace(quarter, len(filled) - quarter - 1, kept).astype(int)]
        images = []
        for index in filled:
            grey = np.clip((volume[index] - low) / (high - low), 0, 1) * np.float32(255)
            images.append(cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8))
        assert np.stack(images).dtype == np.uint8
        count += len(files)
    return count


def read_sorted(slices: list) -> NDArray[np.float32]:  # type: ignore[type-arg]
    """Sort data sets by their place along the normal, and stack their pixels."""
    directions = np.array(slices[0].ImageOrientationPatient, float)
    normal = np.cross(directions[:3], directions[3:])
    slices.sort(key=lambda one: float(np.dot(normal, one.ImagePositionPatient)))
    return np.stack([one.pixel_array.astype(np.float32) for one in slices])


if __name__ == "__main__":
    main()
