"""What age + sex and site + scanner predict in folds, against a script of scikit-learn's own functions that shares no code.

The script below deals the same folds (``StratifiedKFold(5, shuffle=True, random_state=seed)``, seeds 0 to 9), codes by hand and fits
``LogisticRegression()`` on the training patients of each. It passes where both mean AUROCs of each set agree within 0.005.

    python benchmarks/bench_baselines.py [TABLE] [--repeats 10]      TABLE: participants.tsv of OpenNeuro ds007045, or any other
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import machine, parse_arguments, print_table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from core.experiments.referee.baselines import evaluate_baselines, list_sets
from core.experiments.referee.table import read_predictions
from core.figure_text import figure_text

NEAR = 0.005


def make_table(path: Path) -> Path:
    """A synthetic table, where none is given."""
    generator = np.random.default_rng(0)
    age = generator.normal(60, 10, 120).round()
    labels = (generator.random(120) < 1 / (1 + np.exp(-(age - 60) / 10))).astype(int)
    sites = generator.choice(["BO", "KA"], 120)
    rows = {"participant_id": [f"sub-{site}{number}" for number, site in enumerate(sites)], "MGMT": labels, "age": age}
    pd.DataFrame(rows).assign(sex=generator.integers(0, 2, 120)).to_csv(path, sep="\t", index=False)
    return path


def by_hand(rows: pd.DataFrame, columns: Sequence[str], repeats: int) -> float:
    """The mean AUROC over folds and repeats, with nothing of ours."""
    labels = rows["label"].to_numpy(dtype=int)
    areas = []
    for seed in range(repeats):
        for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(labels, labels):
            coded = []
            for name in columns:
                values = rows[name]
                if values.dtype == float:
                    filled = values.fillna(values.iloc[train].median())
                    coded.append(((filled - filled.iloc[train].mean()) / filled.iloc[train].std(ddof=0)).to_numpy())
                    continue
                counts = values.iloc[train].value_counts()
                levels = values.where(values.isin(counts.index[counts >= 5]), "rare")
                coded += [(levels == level).to_numpy(dtype=float) for level in sorted(set(levels))]
            design = np.column_stack(coded)
            model = LogisticRegression(max_iter=1000).fit(design[train], labels[train])
            areas.append(roc_auc_score(labels[test], model.decision_function(design[test])))
    return float(np.mean(areas))


def main() -> None:
    """Do both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", help="a synthetic one by default")
    parser.add_argument("--repeats", type=int, default=10)
    options = parse_arguments(parser, repeats=1)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.table) if options.table else make_table(Path(folder) / "participants.tsv")
        table = read_predictions(path, site_from_id=True)
    rows = table.rows.dropna(subset=["label"]).reset_index(drop=True)
    found = evaluate_baselines(rows, list_sets([*table.covariates, "site"]), repeats=options.repeats)
    lines = []
    passed = True
    for one in found:
        alone = by_hand(rows, one.columns, options.repeats)
        apart = abs(alone - (one.auroc.value or 0))
        passed &= apart <= NEAR
        lines.append([one.name, ", ".join(one.columns), figure_text(one.auroc), alone, apart])
    print_table(f"{table.name}: AUROC", ("baseline", "columns", "ours", "by hand", "apart"), lines)
    print("passed" if passed else "FAILED")
    if not passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
