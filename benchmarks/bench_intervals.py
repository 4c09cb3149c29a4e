"""Does a 95% interval hold 95% of the time? Every interval that the product prints, by simulation.

Patients are drawn from a binormal model of a known AUROC, 52.5% of them positive; the truth of the other figures is
computed from the same model. The coverage of each figure is to lie between 93 and 98.5%. Below it: figures by slice,
eight alike slices a patient, whose intervals treat patients as what was sampled; the paired bootstrap that Compare draws
beside DeLong's interval, which is only reported, on a quarter of the samples; and the time of 2,000 resamples.

    python benchmarks/bench_intervals.py [--draws 2000]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from measuring import machine, parse_arguments, print_table
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from core.evaluation import metrics
from core.evaluation.figure import Figure
from core.evaluation.influence import average_precision_interval, mean_interval, mean_share_interval, share_interval
from core.evaluation.intervals import auroc_interval, bootstrap_interval
from core.evaluation.paired import auroc_difference, bootstrap_auroc_difference, mean_difference

PATIENTS = (40, 117, 585)
AREAS = (0.5, 0.75, 0.9, 0.98)
PREVALENCE = 0.525
BAND = (0.93, 0.985)
SLICES = 8
ALIKE = 0.8
"""Correlation of the scores of one patient's slices beyond what the label says."""
THRESHOLD = 0.2
"""Score from which a patient is called positive: not the middle, so that the classes' shares differ."""

BOOTSTRAP = "AUROC difference by paired bootstrap"

Array = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A binormal model: scores of the positive class lie `distance` standard deviations above the others'."""

    area: float

    @property
    def distance(self) -> float:
        return float(np.sqrt(2) * ndtri(self.area))

    def probabilities(self, scores: Array) -> Array:
        """A network's: calibrated where the signal is strong, overconfident where there is none."""
        return expit(max(1.0, self.distance) * scores)

    def scores(self, generator: np.random.Generator, positive: NDArray[np.bool_], slices: int = 1) -> Array:
        """(patients * slices,): slices of one patient are alike."""
        own = generator.standard_normal(len(positive))
        noise = own
        if slices > 1:
            each = generator.standard_normal((len(positive), slices))
            noise = (np.sqrt(ALIKE) * own[:, None] + np.sqrt(1 - ALIKE) * each).ravel()
        return noise + self.distance * (np.repeat(positive, slices) - 0.5)

    def truth(self, share: float) -> dict[str, float]:
        """The figures of infinitely many patients, `share` of them positive."""
        x = np.linspace(-14, 14, 400_001)
        step = x[1] - x[0]
        density = {sign: np.exp(-((x - sign * self.distance / 2) ** 2) / 2) / np.sqrt(2 * np.pi) for sign in (1, -1)}
        found, false = ndtr(self.distance / 2 - x), ndtr(-self.distance / 2 - x)
        precision = share * found / np.maximum(share * found + (1 - share) * false, 1e-300)
        p = self.probabilities(x)
        right = (ndtr(self.distance / 2 - THRESHOLD), ndtr(THRESHOLD + self.distance / 2))

        def mean(of_positive: Array, of_negative: Array) -> float:
            return float((share * density[1] * of_positive + (1 - share) * density[-1] * of_negative).sum() * step)

        return {
            "AUROC": self.area,
            "AUPRC": float((density[1] * precision).sum() * step),
            "accuracy": float(share * right[0] + (1 - share) * right[1]),
            "balanced accuracy": float(np.mean(right)),
            "Brier": mean((1 - p) ** 2, p**2),
            "log loss": mean(*(np.logaddexp(0, sign * max(1.0, self.distance) * x) for sign in (-1, 1))),
        }


def intervals(
    model: Model, positive: NDArray[np.bool_], scores: Array, clusters: NDArray[np.int64] | None = None
) -> dict[str, Interval]:
    """Every interval of one sample."""
    probability = model.probabilities(scores)
    hits = (scores >= THRESHOLD) == positive
    squares = (probability - positive) ** 2
    return {
        "AUROC": auroc_interval(positive, scores, clusters)[1:],
        "AUPRC": average_precision_interval(positive, scores, clusters)[1:],
        "accuracy": share_interval(hits, positive, clusters)[1:],
        "balanced accuracy": mean_share_interval(hits, positive, clusters)[1:],
        "Brier": mean_interval(squares, positive, clusters)[1:],
        "log loss": mean_interval(metrics.log_losses(positive, probability), positive, clusters)[1:],
    }


def scores_of_both(
    generator: np.random.Generator, better: Model, worse: Model, positive: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Scores of two models that share half of their noise."""
    shared = generator.standard_normal(len(positive))
    one, other = (
        np.sqrt(0.5) * (shared + generator.standard_normal(len(positive))) + model.distance * (positive - 0.5)
        for model in (better, worse)
    )
    return one, other


def paired(
    generator: np.random.Generator, better: Model, worse: Model, positive: NDArray[np.bool_]
) -> dict[str, Interval]:
    """Differences between two models."""
    one, other = scores_of_both(generator, better, worse, positive)
    losses = [(model.probabilities(score) - positive) ** 2 for model, score in ((better, one), (worse, other))]
    area, brier = auroc_difference(positive, one, other), mean_difference(*losses, positive)
    return {"AUROC difference": limits(area), "Brier difference": limits(brier)}


def resampled(
    generator: np.random.Generator, better: Model, worse: Model, positive: NDArray[np.bool_]
) -> dict[str, Interval]:
    """The difference of two AUROCs by the paired bootstrap."""
    figure = bootstrap_auroc_difference(positive, *scores_of_both(generator, better, worse, positive), draws=1000)
    return {BOOTSTRAP: limits(figure)}


def limits(figure: Figure) -> Interval:
    """The interval of a figure that has one."""
    assert figure.low is not None
    assert figure.high is not None
    return figure.low, figure.high


def coverage(sample: Callable[[], dict[str, Interval]], truth: dict[str, float], draws: int) -> dict[str, float]:
    """Share of the samples whose interval holds the truth."""
    held = dict.fromkeys(truth, 0)
    for _ in range(draws):
        for name, (low, high) in sample().items():
            held[name] += low <= truth[name] <= high
    return {name: count / draws for name, count in held.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Coverages at one number of patients and one AUROC; by slice and by bootstrap for small numbers only."""

    by_patient: dict[str, float]
    by_slice: dict[str, float]
    by_bootstrap: dict[str, float]


def measure(area: float, patients: int, draws: int) -> Cell:
    """Coverage by patient (paired differences included), by slice, and of the paired bootstrap."""
    generator = np.random.default_rng([patients, round(1000 * area)])
    positive = np.arange(patients) < round(PREVALENCE * patients)
    model, worse = Model(area=area), Model(area=max(0.5, area - 0.06))
    truth = model.truth(float(positive.mean()))
    apart = {
        "AUROC difference": model.area - worse.area,
        "Brier difference": truth["Brier"] - worse.truth(float(positive.mean()))["Brier"],
    }
    clusters = np.repeat(np.arange(patients), SLICES)
    by_patient = coverage(lambda: intervals(model, positive, model.scores(generator, positive)), truth, draws)
    by_patient |= coverage(partial(paired, generator, model, worse, positive), apart, draws)
    if patients > 200:
        return Cell(by_patient=by_patient, by_slice={}, by_bootstrap={})
    by_slice = coverage(
        lambda: intervals(model, np.repeat(positive, SLICES), model.scores(generator, positive, SLICES), clusters),
        truth,
        draws,
    )
    by_bootstrap = coverage(
        partial(resampled, generator, model, worse, positive), {BOOTSTRAP: apart["AUROC difference"]}, draws // 4
    )
    return Cell(by_patient=by_patient, by_slice=by_slice, by_bootstrap=by_bootstrap)


def show(title: str, cells: dict[tuple[int, float], dict[str, float]]) -> bool:
    """Print one table; False where a cell lies outside the band."""
    names = list(next(iter(cells.values())))
    marked = {
        place: [f"{100 * cell[name]:.1f}{'' if BAND[0] <= cell[name] <= BAND[1] else ' OUT'}" for name in names]
        for place, cell in cells.items()
    }
    print_table(title, ["n", "AUROC is", *names], [[n, f"{area:g}", *marked[n, area]] for n, area in cells])
    return not any("OUT" in text for row in marked.values() for text in row)


def speed() -> list[list[object]]:
    """Milliseconds of each interval at 585 patients; the bootstrap with 2,000 resamples."""
    model = Model(area=0.75)
    positive = np.arange(585) < 307
    scores = model.scores(np.random.default_rng(0), positive)
    both = np.stack([-scores, scores], axis=1)
    work: dict[str, Callable[[], object]] = {
        "all six figures of a sample": lambda: intervals(model, positive, scores),
        "bootstrap of the AUPRC, 2,000 resamples": lambda: bootstrap_interval(
            partial(metrics.average_precision, positive, scores), positive
        ),
        "bootstrap of the macro AUROC, 2,000 resamples": lambda: bootstrap_interval(
            partial(metrics.macro_auroc, positive.astype(np.int64), both), positive
        ),
    }
    rows: list[list[object]] = []
    for name, call in work.items():
        began = time.perf_counter()
        call()
        rows.append([name, 1000 * (time.perf_counter() - began)])
    return rows


def main() -> None:
    """Print the tables; exit 1 where an interval does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="samples per cell; 2,000 know a coverage to 0.5 points")
    arguments = parse_arguments(parser, draws=4)
    draws = arguments.draws
    print(machine())
    cells = {(patients, area): measure(area, patients, draws) for patients in PATIENTS for area in AREAS}
    few = {place: cell for place, cell in cells.items() if cell.by_slice}
    title = f"Coverage of 95% intervals by patient, in percent ({draws} samples a cell)"
    holds = show(title, {place: cell.by_patient for place, cell in cells.items()})
    title = f"By slice, {SLICES} slices a patient ({draws} samples a cell)"
    holds &= show(title, {place: cell.by_slice for place, cell in few.items()})
    title = f"By resampling, reported only ({draws // 4} samples a cell)"
    show(title, {place: cell.by_bootstrap for place, cell in few.items()})
    print_table("Time at 585 patients", ["what", "milliseconds"], speed())
    sys.exit(not (holds or arguments.tiny))


if __name__ == "__main__":
    main()
