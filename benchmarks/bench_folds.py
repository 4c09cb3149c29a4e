"""Do the intervals of a cross-validation hold 95% of the time, and what would pooled logits have said?

Patients have Gaussian features; in each of five folds a linear network is trained on the others (the difference of the
class means), and gets an offset and a scale of its own, as networks trained apart have. What each network is truly worth
is known from its weights. Counted is how often the interval over folds holds (a) what these very networks are worth on
average, and (b) the AUROC that networks trained on so many patients have on average. Beside it LeDell's interval alone,
without the factor for shared training patients (a), the mean of the folds less (a), and the AUROC of all folds' logits
pooled less (a). Where there is little or nothing to learn (a network's AUROC below 0.8) the intervals must hold 93% of the
time; where there is much they may be too wide, never too narrow.

    python benchmarks/bench_folds.py [--draws 400]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from measuring import machine, parse_arguments, print_table
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri

from core.dataset.folds import deal_folds
from core.evaluation import metrics
from core.evaluation.folds import FoldPredictions, evaluate_folds, sharing_factor

PATIENTS = (40, 117, 585)
LEARNERS = {8: (0.5, 0.75, 0.9), 200: (0.5, 0.9, 0.98)}
"""Features, and the AUROC of the best linear network there is: what is trained on few patients has less."""
PREVALENCE = 0.525
FOLDS = 5
LEAST = 0.93

Array = NDArray[np.float64]


def train(features: Array, positive: NDArray[np.bool_]) -> tuple[Array, float]:
    """The weights of length 1, and the middle between the classes' means."""
    means = features[positive].mean(axis=0), features[~positive].mean(axis=0)
    weights = (means[0] - means[1]) / np.linalg.norm(means[0] - means[1])
    return weights, float(weights @ (means[0] + means[1]) / 2)


def worth(weights: Array, middle: float, effect: Array, scale: float) -> tuple[float, float, float]:
    """AUROC, balanced accuracy and Brier score of a network on infinitely many patients."""
    half = float(weights @ effect) / 2
    x, mass = np.polynomial.hermite_e.hermegauss(61)
    mass = mass / mass.sum()
    yes = float(mass @ (1 - expit(scale * (x + half - middle))) ** 2)
    no = float(mass @ expit(scale * (x - half - middle)) ** 2)
    right = (float(ndtr(half - middle)) + float(ndtr(half + middle))) / 2
    return float(ndtr(np.sqrt(2) * half)), right, PREVALENCE * yes + (1 - PREVALENCE) * no


def cross_validate(
    features: Array, positive: NDArray[np.bool_], effect: Array, repeats: int, generator: np.random.Generator
) -> tuple[list[FoldPredictions], Array]:
    """Train outside each fold; the folds' answers, and what each network is worth (networks, 3)."""
    names = np.array([f"{number:05d}" for number in range(len(positive))])
    labels = {str(name): int(side) for name, side in zip(names, positive, strict=True)}
    answers, truths = [], []
    for repeat in range(repeats):
        for number, fold in enumerate(deal_folds(labels, FOLDS, int(generator.integers(1 << 30))), start=1):
            held = np.isin(names, fold)
            weights, middle = train(features[~held], positive[~held])
            offset, scale = generator.normal(0, 2), generator.uniform(0.5, 2)
            odds = offset + scale * (features[held] @ weights - middle)
            answers.append(
                FoldPredictions(
                    seed=repeat, fold=number, patients=names[held], labels=positive[held].astype(np.int64),
                    logits=np.stack([np.zeros(len(odds)), odds], axis=1), threshold=float(expit(offset)), temperature=1.0,
                )
            )  # fmt: skip
            truths.append(worth(weights, middle - offset / scale, effect, scale))
            truths[-1] = (truths[-1][0], worth(weights, middle, effect, scale)[1], truths[-1][2])
    return answers, np.array(truths)


def measure(patients: int, features: int, area: float, repeats: int, draws: int) -> list[float]:
    """Columns of the table."""
    generator = np.random.default_rng([patients, features, round(100 * area), repeats])
    effect = np.full(features, np.sqrt(2 / features) * ndtri(area))
    positive = np.arange(patients) < round(PREVALENCE * patients)
    intervals, truths, pooled = [], [], []
    for _ in range(draws):
        seen = generator.standard_normal((patients, features)) + np.outer(positive - 0.5, effect)
        answers, truth = cross_validate(seen, positive, effect, repeats, generator)
        found = evaluate_folds(answers, ("no", "yes"), 1)
        intervals.append(
            [(one.value, one.low, one.high) for one in map(found.get, ("auroc", "balanced_accuracy", "brier"))]
        )
        truths.append(truth.mean(axis=0))
        labels = np.concatenate([one.labels for one in answers[:FOLDS]]) == 1
        scores = np.concatenate([one.logits[:, 1] for one in answers[:FOLDS]])
        pooled.append(metrics.auroc(labels, scores, np.ones((1, patients)))[0])
    value, low, high = np.moveaxis(np.array(intervals, dtype=np.float64), -1, 0)
    mine = np.array(truths)
    held = ((low <= mine) & (mine <= high)).mean(axis=0)
    average = float(mine[:, 0].mean())
    # Back to LeDell's own interval, on the logit scale where it was made.
    shrink = 1 / np.sqrt(sharing_factor(FOLDS))
    centre, bottom, top = (logit(np.clip(column[:, 0], 1e-6, 1 - 1e-6)) for column in (value, low, high))
    alone = (centre - shrink * (centre - bottom) <= logit(mine[:, 0])) & (
        logit(mine[:, 0]) <= centre + shrink * (top - centre)
    )
    return [
        average, float(held[0]), float(((low[:, 0] <= average) & (average <= high[:, 0])).mean()), float(alone.mean()),
        float((high - low)[:, 0].mean()), float(held[1]), float(held[2]), float((value - mine)[:, 0].mean()),
        float((np.array(pooled) - mine[:, 0]).mean()),
    ]  # fmt: skip


def main() -> None:
    """Print the table; exit 1 where an interval is too narrow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    arguments = parse_arguments(parser, draws=2)
    draws = arguments.draws
    print(machine())
    rows, kept = [], True
    for repeats in (1, 3):
        for features, areas in LEARNERS.items():
            for patients in PATIENTS:
                for area in areas:
                    found = measure(patients, features, area, repeats, draws if repeats == 1 else draws // 2)
                    # Three standard errors of the simulation itself.
                    least = LEAST - 3 * np.sqrt(LEAST * (1 - LEAST) / draws * repeats)
                    kept &= min(found[1], found[2]) >= least
                    shares, others = found[1:4], found[5:7]
                    rows.append(
                        [repeats, features, patients, f"{found[0]:.3f}", *(f"{share:.1%}" for share in shares),
                         f"{found[4]:.3f}", *(f"{share:.1%}" for share in others), *(f"{bias:+.3f}" for bias in found[7:])]
                    )  # fmt: skip
    header = [
        "seeds", "features", "n", "true AUROC", "holds (a)", "holds (b)", "LeDell alone", "width", "bal. acc.", "Brier",
        "mean of folds - (a)", "pooled - (a)",
    ]  # fmt: skip
    print_table(f"{FOLDS} folds, {draws} repetitions ({draws // 2} where there are 3 seeds)", header, rows)
    sys.exit(not (kept or arguments.tiny))


if __name__ == "__main__":
    main()
