"""Do the shortcut controls find what was planted, and nothing where nothing was?

Synthetic cohorts of 40 studies at signal 0, with the scanner tied to the label and a scale bar burnt into the margin of
one class, and the same cohorts without either (``core.experiments.controls.shortcuts``).

    python benchmarks/bench_shortcuts.py [--seeds 5]

With the shortcut planted the headers and the blanked brain should be found in every seed (p after Holm at most 0.05); without, each
control should be found about once in twenty.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import machine, parse_arguments, print_table

from core.data.cohort import scan_cohort
from core.experiments.controls.shortcuts import CONTROLS, Shortcuts, find_shortcuts
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import load_settings


def measure(folder: Path, seed: int, planted: bool, arguments: argparse.Namespace) -> Shortcuts:
    """Make one cohort and run the controls on it."""
    sizes = {name: getattr(arguments, name) for name in ("studies", "slices", "size")}
    config = PhantomConfig(**sizes, signal=0, seed=seed, shortcut=planted, scale_bar=planted)
    place = folder / f"{seed}-{'planted' if planted else 'clean'}"
    make_phantom(place, config, jobs=1)
    settings = load_settings({"MGMT_LAB_HOME": str(folder / "home"), "MGMT_LAB_THREADS": "1"})
    return find_shortcuts(scan_cohort(place, jobs=1), settings, permutations=arguments.permutations, seed=seed, jobs=1)


def main() -> None:
    """Measure each seed twice and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.set_defaults(studies=40, slices=8, size=64, permutations=99)
    arguments = parse_arguments(parser, seeds=1, studies=12, slices=4, size=32, permutations=2)
    print(machine())
    names = [control.name for control in CONTROLS]
    rows, missed, false = [], 0, 0
    with TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            for planted in (True, False):
                found = measure(Path(folder), seed, planted, arguments)
                cells = [
                    f"{result.auroc.value:.2f} ({result.auroc.low:.2f} to {result.auroc.high:.2f}), p {result.p_value:.3f}"
                    for result in (found.results[name] for name in names)
                ]
                rows.append((seed, "planted" if planted else "clean", *cells))
                if planted:
                    missed += sum(not found.found(name) for name in ("headers", "blanked"))
                else:
                    false += sum(found.found(name) for name in names)
                print(f"seed {seed}", file=sys.stderr, flush=True)
    print_table(
        f"AUROC by patient (95% interval), permutation p; n = {found.patients} patients",
        ("seed", "cohort", *names),
        rows,
    )
    print(
        f"\nplanted: {missed} of {2 * arguments.seeds} missed; clean: {false} of {4 * arguments.seeds} found by chance"
    )
    passed = missed == 0 and false <= max(2, arguments.seeds)
    sys.exit(not (passed or arguments.tiny))


if __name__ == "__main__":
    main()
