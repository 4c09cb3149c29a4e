"""Does the honest protocol find a signal that is there, and none where there is none?

A synthetic cohort of 120 studies is trained on with the preset ``honest`` from random weights at 96 px, and the result
is judged on a second cohort of 200 studies. The best that any model can reach is known: Phi(signal / sqrt 2) in
expectation, and the AUROC of the biomarker itself on those very patients.

    python benchmarks/bench_signal.py [--signals 3 0] [--size 96]

At signal 3 the AUROC should reach 0.90 (or the biomarker's own less 0.08, if that is lower) within 20 minutes of
training on two cores; at signal 0 it should lie within three standard errors of 0.5.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import TINY_SCAN, TINY_SETTINGS, call_core, parse_arguments, set_words


def measure(signal: float, arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Train on one cohort, judge on another."""
    train, evaluate = home / f"train-{signal:g}", home / f"evaluate-{signal:g}"
    for folder, studies, seed in zip((train, evaluate), arguments.studies, (1, 2), strict=True):
        options = ("--studies", studies, "--signal", signal, "--seed", seed, *arguments.scan)
        truth = call_core("phantom", folder, *options, home=home)
    settings = set_words("weights=none", f"size_px={arguments.size}", *arguments.settings)
    began = time.perf_counter()
    trained = call_core("train", train, "--preset", "honest", *settings, home=home)
    minutes = (time.perf_counter() - began) / 60
    auroc = call_core("evaluate", trained["run"], "--data", evaluate, home=home)["patient"]["auroc"]
    return {
        "signal": signal,
        "best": truth["best_auroc"],
        "biomarker": truth["auroc_of_z"],
        "minutes": minutes,
        **auroc,
    }


def verdict(row: dict[str, Any]) -> bool:
    """Whether the figure is where it should be."""
    if row["signal"]:
        return row["value"] >= min(0.90, row["biomarker"] - 0.08) and row["minutes"] <= 20
    half = row["n"] / 2
    standard_error = math.sqrt((row["n"] + 1) / (12 * half * half))  # of the Mann-Whitney statistic without a signal
    return abs(row["value"] - 0.5) <= 3 * standard_error


def main() -> None:
    """Measure each signal and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=float, nargs="+", default=[3.0, 0.0])
    parser.add_argument("--size", type=int, default=96)
    parser.set_defaults(studies=[120, 200], scan=(), settings=())
    arguments = parse_arguments(parser, signals=[3.0], studies=[12, 8], scan=TINY_SCAN, settings=TINY_SETTINGS)
    print("| signal | best possible | biomarker's own | model, 95% interval, n | training minutes | as expected |")
    print("| --- | --- | --- | --- | --- | --- |")
    passed = True
    for signal in arguments.signals:
        with TemporaryDirectory() as folder:
            row = measure(signal, arguments, Path(folder))
        passed &= verdict(row)
        print(
            f"| {signal:g} | {row['best']:.3f} | {row['biomarker']:.3f} "
            f"| {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f}), n = {row['n']} "
            f"| {row['minutes']:.1f} | {'yes' if verdict(row) else 'NO'} |",
            flush=True,
        )
    sys.exit(not (passed or arguments.tiny))


if __name__ == "__main__":
    main()
