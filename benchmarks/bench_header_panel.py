"""Does the panel of shortcuts find a single one that goes with the label, and nothing where none does?

Aim: power and family-wise error of ``core.experiments.controls.header_panel``, labels shuffled within sites. Data: 200 patients
of two sites, 40 planted confounders of six kinds (header, padding, compression, intensity, site, order) in five forms (normal,
skewed, two values, many values, rounded), one at a time, among 60 columns that carry the site and say nothing of the label; a
planted one has an AUROC of 0.60, 0.65 or 0.70. The site and the order are looked at over all patients. Estimand: the share of
cohorts in which the planted one is found at a family-wise p of 0.05, and the share of clean cohorts in which anything is found.
Rules, fixed before the run: at 0.70 at least 95% found; clean at most 5%, each less or more twice its Monte Carlo error.

Beside it the permutation test of ``permute --fast`` (``core.experiments.controls.linear_head``): 40 patients of two sites, 70 and 30%
of them positive, and eight features that show the site and nothing else. Labels are shuffled within the sites, and among all
patients for comparison, 39 times. Rule: p is 0.05 or less in at most 5% of the cohorts within sites, with the same Monte Carlo error.

    python benchmarks/bench_header_panel.py [--cohorts 400] [--site-cohorts 200]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pandas as pd
from measuring import machine, parse_arguments, print_table
from numpy.typing import NDArray
from scipy.stats import norm

from core.evaluation.intervals import wilson_interval
from core.evaluation.permutation import Exchange, exchange_within
from core.experiments.controls.header_panel import associate_headers
from core.experiments.controls.linear_head import evaluate_head

KINDS = ("header", "padding", "compression", "intensity", "site", "order")
PATIENTS, PLANTED, NOISE, LEVEL = 200, 40, 60, 0.05
STRENGTHS = (0.60, 0.65, 0.70)
SITE_PATIENTS, SITE_SHUFFLES = 40, 39


def shape_header(values: NDArray[np.float64], kind: int) -> NDArray[np.float64]:
    """Give normal values one of five forms; the two that lose order keep most of it."""
    if kind == 0:
        return values
    if kind == 1:
        return np.exp(values)
    if kind == 2:
        return np.digitize(values, [0.0]).astype(np.float64)
    if kind == 3:
        return np.digitize(values, np.linspace(-1.5, 1.5, 7)).astype(np.float64)
    return np.round(values)


def move_by(auroc: float, kind: int) -> float:
    """Return the shift of the positive class that gives a header of a kind this AUROC."""
    if kind == 2:  # two values, cut at 0: AUROC = (1 + P(1|yes) - P(1|no)) / 2
        return float(norm.ppf(0.5 + (2 * auroc - 1)))
    return float(np.sqrt(2) * norm.ppf(auroc))


def draw_cohort(
    rng: np.random.Generator, number: int | None, auroc: float
) -> tuple[pd.DataFrame, NDArray[np.int64], Exchange, str]:
    """Draw one cohort with the panel's columns, the labels, the sites and the name of what is planted."""
    kind = "" if number is None else KINDS[number % len(KINDS)]
    site = np.arange(PATIENTS) < PATIENTS // 2
    share = auroc if kind == "site" else 0.5
    labels = (rng.permutation(PATIENTS // 2) < round(share * PATIENTS / 2)).astype(np.int64)
    labels = np.concatenate([labels, 1 - rng.permutation(labels)])
    columns = {
        f"noise {one}": shape_header(rng.normal(size=PATIENTS) + (one % 3) * site, one % 5) for one in range(NOISE)
    }
    columns |= {"site": site.astype(np.float64), "order": rng.permutation(PATIENTS).astype(np.float64)}
    if number is not None and kind != "site":
        form = 2 if kind == "compression" else 0 if kind == "order" else number % 5
        moved = (0.0 if kind == "order" else 0.5) * site
        columns[kind] = shape_header(rng.normal(size=PATIENTS) + move_by(auroc, form) * labels + moved, form)
    exchange = exchange_within([str(one) for one in site], labels)
    return pd.DataFrame(columns), labels, exchange, kind


def permute_within_sites(cohorts: int, shuffles: int) -> tuple[list[tuple[str, ...]], bool]:
    """Rows of the permutation test of features that show only the site, and whether it keeps the rule."""
    site = np.repeat([False, True], SITE_PATIENTS // 2)
    labels = np.tile(np.arange(SITE_PATIENTS // 2) < 0.7 * SITE_PATIENTS // 2, 2).astype(np.int64)
    labels[site] = 1 - labels[site]
    within = exchange_within([str(one) for one in site], labels)
    counts = dict.fromkeys(("within sites", "among all"), 0)
    for number in range(cohorts):
        features = np.random.default_rng([1, number]).normal(size=(SITE_PATIENTS, 8)) + 1.5 * site[:, None]
        for name, exchange in zip(counts, (within, None), strict=True):
            found = evaluate_head(features, labels, permutations=shuffles, seed=number, nested=False, exchange=exchange)
            counts[name] += found.p_value <= LEVEL
    rows: list[tuple[str, ...]] = [
        (f"shuffled {name}: significant", f"{count} of {cohorts}", share_text(count, cohorts))
        for name, count in counts.items()
    ]
    return rows, counts["within sites"] / cohorts <= LEVEL + monte_carlo(cohorts)


def share_text(count: int, cohorts: int) -> str:
    """A share with its 95% interval (Wilson)."""
    low, high = wilson_interval(count, cohorts)
    return f"{count / cohorts:.3f} ({low:.3f} to {high:.3f})"


def monte_carlo(cohorts: int) -> float:
    """Twice the Monte Carlo error of a share of 5%."""
    return float(2 * np.sqrt(LEVEL * (1 - LEVEL) / cohorts))


def main() -> None:
    """Draw cohorts, test them and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=400, help="for each strength, and clean ones (default: 400)")
    parser.add_argument("--site-cohorts", type=int, default=200, help="that show only the site (default: 200)")
    parser.set_defaults(shuffles=9999)
    arguments = parse_arguments(parser, cohorts=10, shuffles=199, site_cohorts=2)
    print(machine())
    rng = np.random.default_rng(0)
    rows: list[tuple[str, ...]] = []
    passed = True
    for auroc in (*STRENGTHS, None):
        found = 0
        for number in range(arguments.cohorts):
            planted = None if auroc is None else number % PLANTED
            table, labels, exchange, kind = draw_cohort(rng, planted, auroc or 0.5)
            results = associate_headers(
                table, labels, exchange=exchange, across=("site", "order"), shuffles=arguments.shuffles, seed=number
            )
            hits = [one.name for one in results if one.p_value <= LEVEL]
            found += bool(hits) if planted is None else kind in hits
        share = found / arguments.cohorts
        error = monte_carlo(arguments.cohorts)
        rows.append((
            "clean: anything found" if auroc is None else f"planted at AUROC {auroc:.2f}: found",
            f"{found} of {arguments.cohorts}",
            share_text(found, arguments.cohorts),
        ))  # fmt: skip
        if auroc is None:
            passed &= share <= LEVEL + error
        elif auroc == max(STRENGTHS):
            passed &= share >= 0.95 - error
        print(rows[-1][0], file=sys.stderr, flush=True)
    print_table(f"n = {PATIENTS} patients, {arguments.shuffles} shuffles", ("cohorts", "count", "share (95%)"), rows)
    rows, kept = permute_within_sites(arguments.site_cohorts, SITE_SHUFFLES)
    print_table(
        f"Only the site, n = {SITE_PATIENTS}, {SITE_SHUFFLES} shuffles", ("labels", "count", "share (95%)"), rows
    )
    sys.exit(not ((passed and kept) or arguments.tiny))


if __name__ == "__main__":
    main()
