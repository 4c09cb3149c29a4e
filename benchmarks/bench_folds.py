"""Do the intervals of a cross-validation hold, are they wider than they need be, and is the planned power reached?

Aim: the interval of ``core.evaluation.folds`` and the design "folds" of ``core.evaluation.power``.

Data: patients with features in two classes; in each of five folds, once or in three repeats (seeds), a network is trained on
the others and gets an offset and a scale of its own. Settings: Gaussian features and a linear network (the difference of the
class means) with 2, 8 or 200 features; the same with skewed (log-normal) features; patients of five sites of unequal size
whose features are moved, the label going with the site or not; and a network of one hidden layer, trained by gradient
descent from random weights.

Estimand: (a) what these very networks are worth on average on further patients, known from their weights, or from 4,000 new
patients; (b) what such networks are worth over all draws, for comparison. Methods: the interval of the product; Nadeau and
Bengio's fixed factor, as the product had it; LeDell's interval alone. "Ideal" is 2 x 1.96 standard deviations of the mean of
the folds less (a) over the draws: what a normal interval would need that knew them.

Rules, fixed before the run (the Monte Carlo error of a coverage of 95% is 0.34 points at 4,000 draws):
1. AUROC: at least 94% (less two Monte Carlo errors) in every setting; balanced accuracy and Brier at least 93%.
2. Without signal at n >= 117: at most 98%, and at most 1.15 times the ideal width.
3. With signal and three seeds, the median over settings of the excess over the ideal width at most half of the fixed factor's.
4. Power with one seed, where the planned one lies between 10 and 99%: within 3 points of the simulated, given the mean of (a).

    python benchmarks/bench_folds.py [--draws 4000] [--patients 40 117 585] [--jobs 2] [--keep FILE] [--gaussian 2:0.7 200:0.7]
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import machine, parse_arguments, print_table
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri

from core.evaluation.folds import FoldPredictions, FoldScores, SharedTraining, evaluate_folds, mean_auroc_interval
from core.evaluation.power import power_of

PATIENTS = (40, 117, 585)
PREVALENCE, FOLDS = 0.525, 5
NEW = 2000
"""New patients of each class that say what a network is worth."""
SITES = np.array([0.4, 0.25, 0.15, 0.12, 0.08])
LEANING = np.array([0.7, 0.3, 0.7, 0.3, 0.5])
"""Share of positives by site where the label goes with it."""
HIDDEN, STEPS, RATE = 8, 60, 0.5

Array = NDArray[np.float64]
Yes = NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """Where the features come from, and the AUROC of the best linear network there is."""

    kind: str
    features: int
    area: float

    @property
    def signal(self) -> bool:
        return self.area > 0.5


SETTINGS = (
    *(Setting("Gaussian", 2, area) for area in (0.5,)),
    *(Setting("Gaussian", 8, area) for area in (0.5, 0.75, 0.9)),
    *(Setting("Gaussian", 200, area) for area in (0.5, 0.75, 0.9, 0.98)),
    *(Setting("skewed", 8, area) for area in (0.5, 0.75)),
    *(Setting("sites", 8, area) for area in (0.5, 0.75)),
    Setting("sites with the label", 8, 0.5),
    *(Setting("hidden layer", 8, area) for area in (0.5, 0.85)),
)


def read_gaussian(text: str) -> Setting:
    """The Gaussian setting that "features:AUROC" names."""
    features, area = text.split(":")
    return Setting("Gaussian", int(features), float(area))


class Alone(SharedTraining):
    """LeDell's interval, which has no factor."""

    def factor(self, influence: Array) -> float:
        return 1.0


def draw_patients(setting: Setting, positive: Yes, generator: np.random.Generator) -> Array:
    """Features of patients of given classes."""
    effect = np.full(setting.features, np.sqrt(2 / setting.features) * ndtri(setting.area))
    values = generator.standard_normal((len(positive), setting.features))
    if setting.kind == "skewed":
        values = (np.exp(0.8 * values) - np.exp(0.32)) / np.sqrt((np.exp(0.64) - 1) * np.exp(0.64))
    if setting.kind.startswith("sites"):
        leaning = LEANING if "label" in setting.kind else np.full(len(SITES), 0.5)
        moved = 1.2 * np.random.default_rng(7).standard_normal((len(SITES), setting.features))
        for side in (False, True):
            share = SITES * (leaning if side else 1 - leaning)
            site = generator.choice(len(SITES), size=int((positive == side).sum()), p=share / share.sum())
            values[positive == side] += moved[site]
    return values + np.outer(positive - 0.5, effect)


def train_linear(features: Array, positive: Yes, outside: Yes) -> Array:
    """Weights of length 1 of the network of each fold: (folds, features)."""
    yes, no = (outside * side for side in (positive, ~positive))
    weights = yes @ features / yes.sum(1, keepdims=True) - no @ features / no.sum(1, keepdims=True)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def train_hidden(features: Array, positive: Yes, outside: Yes, generator: np.random.Generator) -> tuple[Array, Array]:
    """Weights of both layers of the network of each fold: (folds, features, hidden) and (folds, hidden)."""
    first = generator.normal(0, 1 / np.sqrt(features.shape[1]), (len(outside), features.shape[1], HIDDEN))
    second = generator.normal(0, 1 / np.sqrt(HIDDEN), (len(outside), HIDDEN))
    share = outside / outside.sum(1, keepdims=True)
    for _ in range(STEPS):
        hidden = np.tanh(features @ first)
        error = share * (expit(np.einsum("fnh,fh->fn", hidden, second)) - positive)
        back = error[:, :, None] * second[:, None, :] * (1 - hidden**2)
        second = second - RATE * np.einsum("fnh,fn->fh", hidden, error)
        first = first - RATE * np.einsum("nd,fnh->fdh", features, back)
    return first, second


def areas(scores: Array, positive: Yes) -> Array:
    """AUROC of each row of scores without ties: (networks, patients) -> (networks,)."""
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, scores.argsort(axis=1), np.arange(1.0, scores.shape[1] + 1)[None], axis=1)
    yes, no = int(positive.sum()), int((~positive).sum())
    return (ranks[:, positive].sum(1) - yes * (yes + 1) / 2) / (yes * no)


def deal(positive: Yes, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Who is in each fold: (folds, patients); classes are dealt out one after the other, as ``deal_folds`` does."""
    order = generator.permutation(len(positive))
    order = order[np.argsort(positive[order], kind="stable")]
    held = np.zeros((FOLDS, len(positive)), bool)
    held[np.arange(len(positive)) % FOLDS, order] = True
    return held


def draw_folds(
    setting: Setting, positive: Yes, new: tuple[Array, Yes], repeats: int, generator: np.random.Generator
) -> tuple[NDArray[np.bool_], Array, Array, Array]:
    """Of each fold who is in it, all patients' scores, the middle between the classes' means, and its network's worth."""
    features = draw_patients(setting, positive, generator)
    held = np.concatenate([deal(positive, generator) for _ in range(repeats)])
    if setting.kind == "hidden layer":
        first, second = train_hidden(features, positive, ~held, generator)
        scores, middle = np.einsum("fnh,fh->fn", np.tanh(features @ first), second), np.zeros(len(held))
        worth = areas(np.einsum("fnh,fh->fn", np.tanh(new[0] @ first), second), new[1])
    else:
        weights = train_linear(features, positive, ~held)
        scores = weights @ features.T
        means = [(scores * ~held * side).sum(1) / (~held * side).sum(1) for side in (positive, ~positive)]
        middle = (means[0] + means[1]) / 2
        if setting.kind == "Gaussian":
            effect = np.full(setting.features, np.sqrt(2 / setting.features) * ndtri(setting.area))
            worth = ndtr(weights @ effect / np.sqrt(2))
        else:
            worth = areas(weights @ new[0].T, new[1])
    return held, scores, middle, worth


def measure(setting: Setting, patients: int, repeats: int, draws: int) -> dict[str, float]:
    """All figures of one setting."""
    generator = np.random.default_rng(
        [patients, setting.features, round(100 * setting.area), repeats, len(setting.kind)]
    )
    positive = np.arange(patients) < round(PREVALENCE * patients)
    side = np.repeat([True, False], NEW)
    new = draw_patients(setting, side, np.random.default_rng(11)), side
    found = np.empty((draws, 3, 3))
    truth, others = np.empty(draws), []
    for draw in range(draws):
        held, scores, middle, worth = draw_folds(setting, positive, new, repeats, generator)
        parts: list[FoldScores] = [
            (positive[who], row[who], np.flatnonzero(who)) for who, row in zip(held, scores, strict=True)
        ]
        found[draw, 0] = mean_auroc_interval(parts)
        found[draw, 2] = mean_auroc_interval(parts, shared=Alone(parts))
        reach = logit(np.clip(found[draw, 2, 1:], 1e-9, 1 - 1e-9))
        found[draw, 1] = (
            found[draw, 2, 0],
            *expit(reach.mean() + (reach - reach.mean()) * np.sqrt(1 + FOLDS / (FOLDS - 1))),
        )
        truth[draw] = worth.mean()
        if setting.kind == "Gaussian" and draw < draws // 4:
            others.append(_decide(positive, held, scores, middle, worth, generator))
    value, low, high = np.moveaxis(found, -1, 0)
    holds = (low <= truth[:, None]) & (truth[:, None] <= high)
    ideal = 2 * 1.96 * float((value[:, 0] - truth).std())
    average = float(truth.mean())
    decided = np.mean(others, axis=0) if others else (np.nan, np.nan)
    return {
        "truth": average, "holds": float(holds[:, 0].mean()), "holds fixed": float(holds[:, 1].mean()),
        "holds LeDell": float(holds[:, 2].mean()),
        "holds (b)": float(((low[:, 0] <= average) & (average <= high[:, 0])).mean()),
        "width": float((high - low)[:, 0].mean()) / ideal, "width fixed": float((high - low)[:, 1].mean()) / ideal,
        "bal. acc.": float(decided[0]), "Brier": float(decided[1]),
        "reached": float((low[:, 0] > 0.5).mean() + (high[:, 0] < 0.5).mean()),
    }  # fmt: skip


def _decide(
    positive: Yes, held: NDArray[np.bool_], scores: Array, middle: Array, worth: Array, generator: np.random.Generator
) -> list[bool]:
    """Whether the intervals of balanced accuracy and Brier score hold; each network gets an offset and a scale of its own."""
    answers, truths = [], []
    nodes, mass = np.polynomial.hermite_e.hermegauss(61)
    mass = mass / mass.sum()
    for number, (who, row) in enumerate(zip(held, scores, strict=True)):
        offset, scale = generator.normal(0, 2), generator.uniform(0.5, 2)
        odds = offset + scale * (row[who] - middle[number])
        answers.append(
            FoldPredictions(
                seed=number // FOLDS, fold=number % FOLDS + 1, patients=np.flatnonzero(who).astype(str),
                labels=positive[who].astype(np.int64), logits=np.stack([np.zeros(len(odds)), odds], axis=1),
                threshold=float(expit(offset)), temperature=1.0,
            )
        )  # fmt: skip
        half, centre = float(ndtri(worth[number])) / np.sqrt(2), float(middle[number])
        yes = mass @ (1 - expit(offset + scale * (nodes + half - centre))) ** 2
        no = mass @ expit(offset + scale * (nodes - half - centre)) ** 2
        right = (ndtr(half - centre) + ndtr(half + centre)) / 2
        truths.append((right, PREVALENCE * yes + (1 - PREVALENCE) * no))
    figures = evaluate_folds(answers, ("no", "yes"), 1)
    found = [figures[name] for name in ("balanced_accuracy", "brier")]
    return [one.low <= true <= one.high for one, true in zip(found, np.mean(truths, axis=0), strict=True)]


def main() -> None:
    """Print the table; exit 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--patients", type=int, nargs="+", default=list(PATIENTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3], choices=[1, 3])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a JSON file of what was measured: a later call goes on from it")
    parser.add_argument(
        "--gaussian", type=read_gaussian, nargs="+", help="features:AUROC, in the place of the settings"
    )
    arguments = parse_arguments(parser, draws=3, patients=[40], jobs=1)
    draws = arguments.draws
    print(machine())
    cases = [
        (repeats, patients, setting) for repeats in arguments.seeds for patients in arguments.patients
        for setting in arguments.gaussian or SETTINGS
        if setting.kind != "hidden layer" or patients < max(PATIENTS)
    ]  # fmt: skip
    kept = json.loads(arguments.keep.read_text()) if arguments.keep and arguments.keep.exists() else {}
    names = [f"{case} {draws}" for case in cases]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        waiting = {
            name: pool.submit(measure, setting, n, repeats, draws)
            for name, (repeats, n, setting) in zip(names, cases, strict=True)
            if name not in kept
        }
        for name, one in waiting.items():
            kept[name] = one.result()
            if arguments.keep:
                arguments.keep.write_text(json.dumps(kept))
    measured = [kept[name] for name in names]
    error = 2 * np.sqrt(0.95 * 0.05 / draws)
    excess: dict[int, list[tuple[float, float]]] = {1: [], 3: []}
    rows: list[list[object]] = []
    broken: list[tuple[object, ...]] = []
    for (repeats, patients, setting), found in zip(cases, measured, strict=True):
        found["planned"] = power_of(found["truth"], patients=patients, design="folds", prevalence=PREVALENCE)
        rows.append(
            [repeats, patients, setting.kind, setting.features, f"{found['truth']:.3f}"]
            + [f"{found[name]:.1%}" for name in ("holds", "holds (b)", "holds fixed", "holds LeDell")]
            + [f"{found['width']:.2f}", f"{found['width fixed']:.2f}"]
            + ["" if np.isnan(found[name]) else f"{found[name]:.1%}" for name in ("bal. acc.", "Brier")]
            + [f"{found['reached']:.1%}", f"{found['planned']:.1%}"]
        )
        rules = {1: found["holds"] < 0.94 - error, 2: False, 4: False}
        if setting.kind == "Gaussian":
            rules[1] |= min(found["bal. acc."], found["Brier"]) < 0.93 - 2 * error
        if setting.signal:
            excess[repeats].append((found["width"] - 1, found["width fixed"] - 1))
            if repeats == 1 and 0.1 < found["planned"] < 0.99:
                rules[4] = abs(found["planned"] - found["reached"]) > 0.03 + error
        elif setting.kind != "sites with the label" and patients >= 117:
            rules[2] = found["holds"] > 0.98 or found["width"] > 1.15
        broken += [(rule, repeats, patients, setting) for rule, failed in rules.items() if failed]
    header = ["seeds", "n", "data", "features", "AUROC (a)", "holds (a)", "holds (b)", "fixed factor (a)", "LeDell (a)",
              "width / ideal", "fixed", "bal. acc.", "Brier", "tells from 0.5", "planned"]  # fmt: skip
    print_table(f"{FOLDS} folds, {draws} draws a setting", header, rows)
    for repeats in arguments.seeds:
        pairs = excess[repeats]
        ours, fixed = np.median(pairs, axis=0)
        print(
            f"{repeats} seeds, with signal: median excess over the ideal width {ours:.1%}, with the fixed factor {fixed:.1%}"
        )
        if repeats == 3 and ours > fixed / 2:
            broken.append((3, repeats, ours, fixed))
    for rule in broken:
        print("broken:", *rule)
    sys.exit(bool(broken) and not arguments.tiny)


if __name__ == "__main__":
    main()
