"""Does a figure on test patients who were evaluated again and again keep its promise, however the model was chosen?

    python benchmarks/bench_looks.py [--draws 2000] [--looks 20] [--tiny]

ADEMP. Aim: the chance that noise is "told from 0.5" at any of 20 looks at the same test patients. Data: labels of n patients,
half of them positive, and models without signal: scores drawn by themselves, Gaussian, skewed (exponential) or of groups of
patients that share a part of the score. Estimand: the AUROC of each model's scores on new patients, 0.5. Analysts: "best of"
evaluates unrelated models; "climber" changes the best one so far a little; "blender" evaluates the mean of all earlier
models, each weighted by the AUROC that it was told to have (Blum and Hardt 2015), at the even looks and a new one at the odd
ones. Methods: the plain 95% interval; Bonferroni by spending, level 1 - 0.05 / (k (k + 1)); the product's interval at look k
(core.evaluation.intervals.look_confidence). Performance: the share of draws in which the lower end is above 0.5 at any look, with
its Monte Carlo error; and the width at looks 1, 2, 5 and 20 beside that of the plain interval.

Rule, fixed before the run: the product's share is at most 0.05 and two Monte Carlo errors for every analyst, kind of score
and n.
"""

from __future__ import annotations

import argparse
import sys

import measuring
import numpy as np

from core.evaluation.intervals import auroc_interval, look_confidence
from core.evaluation.metrics import Floats

ERROR = 0.05
KINDS = ("gaussian", "skewed", "grouped")
ANALYSTS = ("best of", "climber", "blender")
GROUPS = 10


def draw_scores(kind: str, patients: int, generator: np.random.Generator) -> Floats:
    """Scores of a model without signal, standardised: (patients,)."""
    scores = generator.standard_normal(patients)
    if kind == "skewed":
        scores = generator.exponential(size=patients)
    if kind == "grouped":
        scores = scores + generator.standard_normal(GROUPS)[generator.integers(GROUPS, size=patients)]
    return (scores - scores.mean()) / scores.std()


def look_again(analyst: str, kind: str, patients: int, looks: int, generator: np.random.Generator) -> Floats:
    """Evaluate as an analyst does who is told every AUROC: lower ends of (plain, Bonferroni, corrected) by look."""
    positive = generator.permutation(np.arange(patients) < patients // 2)
    models: list[Floats] = []
    told: list[float] = []
    lows = np.empty((looks, 3))
    for look in range(1, looks + 1):
        scores = draw_scores(kind, patients, generator)
        if told and analyst == "climber":
            scores = models[int(np.argmax(told))] + 0.5 * scores
        if told and analyst == "blender" and (look % 2 == 0 or look == looks):
            scores = np.sum([(value - 0.5) * model for value, model in zip(told, models, strict=True)], axis=0)
        levels = (1 - ERROR, 1 - ERROR / (look * (look + 1)), look_confidence(look, ERROR))
        found = [auroc_interval(positive, scores, confidence=level) for level in levels]
        lows[look - 1] = [low for _, low, _ in found]
        models.append(scores)
        told.append(found[0][0])
    return lows


def main() -> int:
    """Simulate every setting and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--patients", type=int, nargs="+", default=[40, 117])
    arguments = measuring.parse_arguments(parser, draws=10, looks=4, patients=[20])
    print(measuring.machine())
    limit = ERROR + 2 * np.sqrt(ERROR * (1 - ERROR) / arguments.draws)
    generator = np.random.default_rng(0)
    failed = False
    print(f"noise told from 0.5 at any of {arguments.looks} looks, {arguments.draws} draws; limit {limit:.4f}")
    print("analyst    scores     n     plain   Bonferroni  corrected")
    for patients in arguments.patients:
        for analyst in ANALYSTS:
            for kind in KINDS:
                draws = [
                    look_again(analyst, kind, patients, arguments.looks, generator) for _ in range(arguments.draws)
                ]
                shares = (np.array(draws) > 0.5).any(axis=1).mean(axis=0)
                failed |= bool(shares[2] > limit)
                print(f"{analyst:10} {kind:9} {patients:4}   {shares[0]:.4f}   {shares[1]:.4f}      {shares[2]:.4f}")
    positive, scores = np.arange(100) < 50, generator.standard_normal(100)
    plain = np.diff(auroc_interval(positive, scores)[1:])[0]
    for look in (1, 2, 5, arguments.looks):
        width = np.diff(auroc_interval(positive, scores, confidence=look_confidence(look))[1:])[0]
        print(f"width at look {look}, n = 100, AUROC about 0.5: {width / plain:.2f} of the plain interval's")
    return int(failed and not arguments.tiny)


if __name__ == "__main__":
    sys.exit(main())
