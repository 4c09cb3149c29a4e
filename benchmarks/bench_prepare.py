"""The whole way: a cold cohort of DICOM to arrays of 224 x 224, ours beside a plain loop, and two processes beside one.

All slices are kept, so that both do the same work; ours finds the series, checks them, windows by the volume's
percentiles, cuts the head out and writes the cache besides. The plain loop is dcmread, pixel_array, a min-max scaling
and OpenCV's resize, in one process. The cohort is taken in blocks, in which the candidates take turns, each with an
empty cache; its files may lie in the system's page cache for all of them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import cpu_seconds, machine, print_table

SIZE = 224


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--cohort", type=Path, help="one that is there already, of 96 slices of 384 x 384")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cohort = arguments.cohort or make_cohort(Path(folder) / "cohort", arguments.studies)
        measure(cohort, Path(folder), arguments.studies, arguments.blocks)


def make_cohort(folder: Path, studies: int) -> Path:
    """Four sequences of 96 slices of 384 x 384 a study: 113 MB each."""
    from core.data.phantom import PhantomConfig, make_phantom

    make_phantom(folder, PhantomConfig(studies=studies, slices=96, size=384))
    return folder


def measure(cohort: Path, folder: Path, count: int, blocks: int) -> None:
    """Let the candidates take turns over blocks of studies, and print slices per second."""
    studies = sorted((cohort / "train").iterdir())[:count]
    parts = [[str(study) for study in part] for part in np.array_split(np.array(studies, dtype=object), blocks)]
    candidates: dict[str, Callable[[Path], int]] = {
        "plain loop, 1 process": plain,
        "MGMT Lab, 1 process": lambda root: ours(root, folder / "home", 1),
        "MGMT Lab, 2 processes": lambda root: ours(root, folder / "home", 2),
    }
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    cpu: dict[str, list[float]] = {name: [] for name in candidates}
    slices = 0
    for number, part in enumerate(parts):
        root = link(part, folder / f"part-{number}")
        for name, run in candidates.items():
            began, spent = time.perf_counter(), cpu_seconds()
            slices = run(root)
            wall[name].append((time.perf_counter() - began) / slices)
            cpu[name].append((cpu_seconds() - spent) / slices)
            shutil.rmtree(folder / "home", ignore_errors=True)
    base, alone = (statistics.median(wall[name]) for name in list(candidates)[:2])
    rows = []
    for name in candidates:
        second, own = statistics.median(wall[name]), statistics.median(cpu[name])
        one_process_cpu = f"{1 / own:.0f}" if "2" not in name else "-"
        rows.append((name, f"{1 / second:.0f}", base / second, alone / second, one_process_cpu))
    print_table(
        f"{count} studies x 4 x 96 x 384 x 384 to {SIZE} x {SIZE}, medians of n = {blocks} blocks of {slices} slices ({machine()})",
        ("way", "slices/s", "x plain loop", "x one process", "slices per CPU-second"),
        rows,
    )


def link(studies: list[str], root: Path) -> Path:
    """Put some studies into a cohort of their own."""
    (root / "train").mkdir(parents=True)
    for study in studies:
        (root / "train" / Path(study).name).symlink_to(study)
    return root


def ours(root: Path, home: Path, jobs: int) -> int:
    """Index, prepare through an empty cache, and touch every array."""
    from core.config import PrepConfig
    from core.data.cohort import scan_cohort
    from core.data.table import build_table
    from core.settings import load_settings

    settings = load_settings({"MGMT_LAB_HOME": str(home)})
    cohort = scan_cohort(root, settings=settings, jobs=jobs)
    table = build_table(cohort, PrepConfig(size_px=SIZE, slice_choice="all"), settings, jobs=jobs)
    assert all(array.shape[1:] == (SIZE, SIZE) for array in table.arrays)
    return cohort.file_count


def plain(root: Path) -> int:
    """What one writes oneself."""
    import cv2
    import pydicom

    cv2.setNumThreads(1)
    count = 0
    for series in sorted(root.glob("train/*/*")):
        pictures = []
        for path in sorted(series.iterdir()):
            pixels = pydicom.dcmread(path).pixel_array.astype(np.float32)
            pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1.0) * 255
            pictures.append(cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8))
        count += len(np.stack(pictures))
    return count


if __name__ == "__main__":
    main()
