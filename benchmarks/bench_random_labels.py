"""Can a split by slice make random labels look learnable, and does a split by patient see through it?

A synthetic cohort of 60 studies at signal 0, its labels shuffled among the patients besides: nothing can be learnt. For
each seed the same ResNet18 is trained twice from random weights, on equally many slices, with and without siblings of
the judged slices in training (``core.experiments.twin.pair``), and both are judged on the same test slices.

    python benchmarks/bench_random_labels.py [--seeds 10] [--home DIR]

By slice the accuracy should be at least 0.85 in the mean; by patient the mean AUROC over the seeds, on test patients that
chose nothing, should lie within 0.5 +- 0.06. What the best epoch says on the validation patients that chose it stands
beside it: it lies above 0.5 by choice alone. With --home the trainings are kept, and a benchmark that was cut off goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import TINY_SETTINGS, machine, parse_arguments, print_table

from core.config import apply_settings
from core.experiments.twin.pair import plan_pair, read_result
from core.experiments.twin.result import evaluate_pair, train_pair
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.records import DataSource
from core.settings import Settings, load_settings

COHORT = PhantomConfig(studies=60, signal=0, seed=1, slices=48, size=96)
"""Slices 2.5 mm apart, as in the real cohort's thinner series."""
SETTINGS = (
    "weights=none",
    "size_px=96",
    "sequences=T1wCE",
    "crop=true",
    "fit=pad",
    "slice_count=16",
    "slice_span=0.36",
    "epochs=12",
    "step_size=9",
    "learning_rate=0.01",
    "test_fraction=0.4",
)
"""On top of the paper's preset: SGD with momentum, step schedule, horizontal flips."""


def measure(seed: int, source: DataSource, settings: Settings, changes: tuple[str, ...]) -> dict[str, Any]:
    """Train one pair, or read what it gave before."""
    config = apply_settings(find_preset("paper").config, [*changes, f"seed={seed}", f"split_seed={seed}"])

    shuffled = source.model_copy(update={"shuffle_seed": seed})
    pair = plan_pair(settings, config, shuffled, name=f"seed-{seed:02d}")
    if not train_pair(pair, settings):
        sys.exit("Stopped; the same command with the same --home goes on.")
    return read_result(pair) or evaluate_pair(pair, settings).to_dict()


def show(results: list[dict[str, Any]]) -> bool:
    """Print the table and say whether the figures are where they should be."""
    rows = []
    for seed, found in enumerate(results):
        by_slice, by_patient = found["slice_split"]["slice"]["accuracy"], found["patient_split"]["slice"]["accuracy"]
        auroc, best = (
            found["patient_split"]["patient"]["auroc"],
            found["validation"]["patient_split"]["patient"]["auroc"],
        )
        rows.append((seed, _text(by_slice), _text(by_patient), _text(auroc), _text(best)))
    print_table(
        f"labels shuffled, {results[0]['trained_on']} training slices in either arm",
        (
            "seed",
            "accuracy by slice: siblings in training",
            "the same: none",
            "no siblings: AUROC by patient, test",
            "the same: validation, best epoch",
        ),
        rows,
    )
    accuracy = np.array([found["slice_split"]["slice"]["accuracy"]["value"] for found in results])
    test = np.array([found["patient_split"]["patient"]["auroc"]["value"] for found in results])
    best = np.array([found["validation"]["patient_split"]["patient"]["auroc"]["value"] for found in results])
    print(f"\nsiblings in training: accuracy by slice {_spread(accuracy)}; should be at least 0.85")
    print(f"none, patients that chose nothing: AUROC {_spread(test)}; should lie within 0.44 to 0.56")
    print(
        f"none, patients that chose the epoch: AUROC {_spread(best)}, above 0.5 in {np.sum(best > 0.5)} of {len(best)}"
    )
    return bool(accuracy.mean() >= 0.85 and abs(test.mean() - 0.5) <= 0.06)


def _text(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return f"{figure['value']:.3f}, n = {figure['n']}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}), n = {figure['n']}"


def _spread(values: np.ndarray[Any, Any]) -> str:
    return f"mean {values.mean():.3f} (seeds {values.min():.3f} to {values.max():.3f}, n = {len(values)} seeds)"


def main() -> None:
    """Measure every seed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--home", type=Path, help="keep cohort and trainings here")
    parser.set_defaults(cohort=COHORT, settings=SETTINGS)
    cohort = COHORT.model_copy(update={"studies": 12, "slices": 8, "size": 32})
    arguments = parse_arguments(parser, seeds=1, cohort=cohort, settings=(*SETTINGS, *TINY_SETTINGS, "slice_count=8"))
    with TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        settings = load_settings({"MGMT_LAB_HOME": str(home), "MGMT_LAB_THREADS": str(load_settings().threads)})
        print(machine())
        make_phantom(home / "cohort", arguments.cohort)
        began = time.perf_counter()
        results = []
        for seed in range(arguments.seeds):
            results.append(measure(seed, DataSource(root=str(home / "cohort")), settings, arguments.settings))
            print(f"seed {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        passed = show(results)
    sys.exit(not (passed or arguments.tiny))


if __name__ == "__main__":
    main()
