"""Do conformal sets keep their promise, and how much do they say?

Patients from a binormal model of known AUROC calibrate sets at 90%; as many new ones are judged. For each class the mean
coverage must not lie below the promise (by more than its own simulation error), and the mean size is shown beside the
smallest possible one: naming both classes always would keep the promise too, at a size of 2.

    python benchmarks/bench_conformal.py [--draws 400]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from measuring import machine, parse_arguments, print_table

from core.evaluation.calibration import to_probabilities
from core.evaluation.conformal import evaluate_sets, fit_conformal, ideal_set_size, predict_sets, sets_left_out
from core.evaluation.simulated import simulate_patients

PATIENTS = (40, 117, 585)
AREAS = (0.55, 0.62, 0.75, 0.9, 0.98)
LEVEL = 0.9
NAMES = ("unmethylated", "methylated")


def measure(area: float, patients: int, draws: int) -> tuple[float, float, float, float]:
    """Mean coverage of each class, mean size, and mean size when each patient is calibrated on all others."""
    generator = np.random.default_rng([patients, round(100 * area)])
    found = []
    for _ in range(draws):
        labels, logits = simulate_patients(area, patients, generator, sharpness=2.0)
        new, new_logits = simulate_patients(area, patients, generator, sharpness=2.0)
        probabilities = to_probabilities(logits)
        sets = predict_sets(fit_conformal(labels, probabilities, LEVEL), to_probabilities(new_logits))
        figures = evaluate_sets(new, sets, NAMES)
        left_out = evaluate_sets(labels, sets_left_out(labels, probabilities, LEVEL), NAMES)
        found.append(
            [*(figure.value for figure in figures.coverage), figures.mean_size.value, left_out.mean_size.value]
        )
    first, second, size, left_out_size = np.mean(found, axis=0)
    return float(first), float(second), float(size), float(left_out_size)


def main() -> None:
    """Print the table; exit 1 where the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    arguments = parse_arguments(parser, draws=2)
    draws = arguments.draws
    print(machine())
    rows, kept = [], True
    for patients in PATIENTS:
        for area in AREAS:
            first, second, size, left_out = measure(area, patients, draws)
            # Coverage varies between calibrations as a beta distribution of about so many patients per class.
            error = 3 * np.sqrt(2 * LEVEL * (1 - LEVEL) / (0.475 * patients) / draws)
            kept &= min(first, second) >= LEVEL - error
            rows.append(
                [patients, f"{area:g}", f"{first:.3f}", f"{second:.3f}", f"{size:.2f}", f"{left_out:.2f}",
                 f"{ideal_set_size(area, LEVEL):.2f}"]
            )  # fmt: skip
    header = ["n", "AUROC is", *(f"coverage of {name}" for name in NAMES), "mean size", "left one out", "ideal size"]
    print_table(f"Conformal sets at {LEVEL:.0%} ({draws} repetitions)", header, rows)
    sys.exit(not (kept or arguments.tiny))


if __name__ == "__main__":
    main()
