"""Whether the page in the browser reads and answers as core does, and how long it takes.

Pass rules, fixed before the run:

- reading: values, order and places of every volume the same as core's; SimpleITK is read beside them, to tell who is right;
- answers: probability within 1e-4 of core's where all prepared pixels are the same, else within 1e-3; maps' correlation 0.999
  or more with the same strongest pixel (a tie is a value within 1e-4 of the maximum); the guard's word the same to the letter;
  what core refuses is refused in the same words;
- speed, in CPU time, which other programs do not lengthen as they do the clock's: the sample, four sequences with their maps on
  one thread, at most 20 s in every try; scripts of the page up to its first paint at most 1 s in every load;
- 0 requests to anywhere else; the network at most 25 MB and everything in the folder at most 45 MB.

Asked are the sample, further synthetic studies, one series in each transfer syntax that keeps every value, an enhanced object,
and, where they are at hand, the real scans; and whatever is named.

    python benchmarks/bench_web.py [SCAN ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pydicom
from measuring import PROJECT, machine, parse_arguments, print_table, shared_data

from core.inference.predict import Predictor
from core.mri import MRSequence
from core.phantom.study import make_sample_study
from core.reports.web_page import LARGEST_BYTES, VENDOR, WEB, export_web
from tests.data.dicom_files import write_enhanced
from tests.e2e.conftest import CHROMIUM, FLAGS, playwright
from tests.e2e.web_page import SYNTAXES, Compared, WebPage, compare, is_equal, open_page, transcode, wait_until
from tests.e2e.web_reading import Read, compare_reading

SHIPPED = PROJECT / "checkpoints" / "demo-synthetic.safetensors"
MEGABYTE = 1_000_000
LARGEST = {"network.onnx": 25 * MEGABYTE, "everything": LARGEST_BYTES}
STUDY_SECONDS = 20
SCRIPT_SECONDS = 1
TRIES = 5
PICTURES = 12
"""Of the folders of loose images, so many patients."""


def main() -> int:
    """Print the tables; 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("scans", nargs="*", metavar="SCAN")
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED)
    parser.add_argument("--studies", type=int, default=8, help="further synthetic studies")
    parser.add_argument("--syntaxes", nargs="*", default=list(SYNTAXES))
    parser.add_argument("--no-real", action="store_true", help="leave the real scans out")
    arguments = parse_arguments(parser, studies=0, syntaxes=["JPEGLSLossless"], no_real=True)
    if CHROMIUM is None or not all((WEB / "node_modules" / place).is_dir() for place in VENDOR):
        print("Not run.\nIt needs chromium,\nand the packages of web/: make web.")
        return 0
    predictor = Predictor(arguments.checkpoint, runtime="onnx", threads=1)
    with TemporaryDirectory(prefix="mgmt-lab-") as workspace, playwright.sync_playwright() as driver:
        folder = Path(workspace) / "page"
        sizes = export_web(arguments.checkpoint, folder)
        scans = list(collect_scans(Path(workspace), folder / "sample.zip", arguments))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with open_page(folder, browser, isolated=False) as page:
            painted = [measure_first_paint(page) for _ in range(1 if arguments.tiny else TRIES)]
            started = time.perf_counter()
            page.ask(folder / "sample.zip")
            first = time.perf_counter() - started
            asked = [page.ask(folder / "sample.zip") for _ in range(1 if arguments.tiny else TRIES)]
            answered, read = [], []
            for name, scan, sequence in scans:
                print(name, file=sys.stderr, flush=True)
                answered += compare(name, scan, page, predictor, sequence)
                read += compare_reading(name, scan, page, sequence)
        browser.close()
    print(machine())
    print_readings(read)
    print_answers(answered)
    held = {"network.onnx": sizes["network.onnx"], "everything": sum(sizes.values())}
    broken = [f"{one.name}: read otherwise: {one.page}" for one in read if one.page]
    broken += is_equal(answered) + page.outside
    broken += [f"{name} has {size / MEGABYTE:.1f} MB" for name, size in held.items() if size > LARGEST[name]]
    script, seconds = max(one[0] for one in painted), max(one["cpu_seconds"] for one in asked)
    broken += [f"scripts of the first paint take {script:.2f} s"] if script > SCRIPT_SECONDS else []
    broken += [f"the sample takes {seconds:.1f} CPU-s"] if seconds > STUDY_SECONDS else []
    print_speed(painted, asked)
    words = ", ".join(f"{name} {size / MEGABYTE:.1f} MB" for name, size in held.items())
    print(
        f"\n{words}; outside requests {len(page.outside)}; the first answer, with the network's loading, {first:.1f} s"
    )
    print("\n".join(broken) or "Every rule holds.")
    return int(bool(broken))


def measure_first_paint(opened: WebPage) -> tuple[float, float]:
    """CPU seconds of the page's scripts until it can be used, and the clock's seconds to its first contentful paint."""
    tab = opened.page.context.new_page()
    session = opened.page.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.goto(opened.url)
    wait_until(tab, "window.mgmtLab && performance.getEntriesByName('first-contentful-paint').length")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    painted = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    tab.close()
    return found["ScriptDuration"], painted


def print_speed(painted: list[tuple[float, float]], asked: list[dict[str, Any]]) -> None:
    """Print the median and the range of each time."""
    rows = {
        "scripts until the page can be used, CPU-s": [one[0] for one in painted],
        "first contentful paint, s": [one[1] for one in painted],
        "the sample with its maps, one thread, CPU-s": [one["cpu_seconds"] for one in asked],
        "the sample with its maps, one thread, s": [one["seconds"] for one in asked],
    }
    print_table(
        f"Speed (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)",
        ("what", "n", "median", "least", "most"),
        [(name, len(v), f"{statistics.median(v):.2f}", f"{min(v):.2f}", f"{max(v):.2f}") for name, v in rows.items()],
    )


def collect_scans(
    workspace: Path, sample: Path, arguments: argparse.Namespace
) -> Iterator[tuple[str, Path, MRSequence | None]]:
    """Yield name, files and the stated sequence of every scan that is asked."""
    yield "sample", sample, None
    zipfile.ZipFile(sample).extractall(workspace / "sample")
    for seed in range(arguments.studies):
        yield f"synthetic {seed}", make_sample_study(workspace / "synthetic", seed=seed, mgmt_value=seed % 2), None
    series = next((workspace / "sample").glob("*/T2w"))
    for name in arguments.syntaxes:
        yield name, transcode(series, workspace / name / "T2w", name).parent, None
    block = np.stack([pydicom.dcmread(path).pixel_array for path in sorted(series.glob("*.dcm"))])
    enhanced = workspace / "enhanced" / "T2w"
    enhanced.mkdir(parents=True)
    write_enhanced(enhanced / "1.dcm", block.astype(np.uint16))
    yield "enhanced object", enhanced.parent, None
    real = None if arguments.no_real else shared_data()
    if real is not None:
        yield from _collect_real(real, workspace)
    for scan in map(Path, arguments.scans):
        yield scan.name, scan, None


def _collect_real(real: Path, workspace: Path) -> Iterator[tuple[str, Path, MRSequence | None]]:
    for series in sorted((real / "rsna_dicom" / "train").iterdir()):
        yield f"competition {series.name}", series, None
    for case in sorted((real / "brats_nifti").iterdir()):
        yield "BraTS case", case, None
    nine = real / "dicom_transfer_syntaxes"
    yield "nine syntaxes, a mosaic", nine, None
    for path in sorted(nine.rglob("*.dcm")):  # the same slice without the word that makes it a mosaic
        image = pydicom.dcmread(path)
        image.ImageType = [word for word in image.ImageType if word != "MOSAIC"]
        place = workspace / "nine" / path.stem / "T2w"
        place.mkdir(parents=True)
        image.save_as(place / path.name)
        yield f"nine syntaxes, {path.stem}", place.parent, None
    for series in sorted((real / "dicom_multi_series").glob("*")):
        yield f"echo-planar {series.name}", series, None
    images = sorted((real / "rsna_t1wce_jpeg").glob("*.jpg"))
    patients = sorted({path.name.split("_")[0] for path in images})[:PICTURES]
    pictures = workspace / "pictures" / "T1wCE"
    pictures.mkdir(parents=True)
    for path in images:
        if path.name.split("_")[0] in patients:
            shutil.copyfile(path, pictures / path.name)
    yield "JPEG", pictures.parent, None


def print_readings(rows: list[Read]) -> None:
    """Print how the page and SimpleITK read what core reads."""
    print_table(
        "Volumes: what differs from core's reading",
        ("series", "voxels", "the page", "SimpleITK"),
        [(one.name, "x".join(map(str, one.shape)), one.page or "same", one.sitk or "same") for one in rows],
    )


def print_answers(rows: list[Compared]) -> None:
    """Print the table of equality, and what the guard said."""
    print_table(
        "Answers",
        ("scan", "slices", "probability", "difference", "pixels that differ", "correlation", "strongest", "guard", "s", "CPU-s", "core's CPU-s"),
        [
            (one.name, "refused", "", "", "", "", "", "same" if one.same_guard else "other words", "", "", "")
            if one.core is None
            else (one.name, one.slices, f"{one.core:.4f}", f"{one.difference:.1e}", f"{one.pixels:.1e}", f"{one.correlation:.6f}",
                  f"{one.strongest} of {one.slices}", "same" if one.same_guard else "OTHER", f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}",
                  f"{one.core_seconds:.1f}")
            for one in rows
        ],
    )  # fmt: skip
    print_table("Core's guard and refusals", ("scan", "what"), [(one.name, one.guard[:220]) for one in rows])


if __name__ == "__main__":
    sys.exit(main())
