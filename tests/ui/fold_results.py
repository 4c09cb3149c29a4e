"""The result of a cross-validation, made up: what the pages and figures are tested on."""

from __future__ import annotations

from typing import Any


def figure(value: float | None, n: int, half: float | None = 0.2) -> dict[str, Any]:
    """A figure as JSON has it."""
    known = value is not None and half is not None
    return {
        "value": value,
        "low": value - half if known else None,  # type: ignore[operator]
        "high": min(1.0, value + half) if known else None,  # type: ignore[operator]
        "n": n,
    }


def make_result(*, nested: bool = False, seeds: int = 1) -> dict[str, Any]:
    """Three folds of ten patients for each seed; the second fold of the first seed has no interval."""
    choices: list[dict[str, str]] = [{"learning_rate": "0.1"}, {"learning_rate": "0.01"}] if nested else [{}]
    folds = [
        {
            "seed": seed,
            "fold": fold,
            "run": f"seed-{seed:02d}-fold-{fold:02d}",
            "candidate": 1 + fold % len(choices),
            "inner_auroc": [0.6, 0.7][: len(choices)],
            "inner": [figure(value, 8, 0.1) for value in [0.6, 0.7][: len(choices)]],
            "epoch": 2,
            "threshold": 0.5,
            "temperature": 1.0,
            "looked_at": 1,
            "patients": 10,
            "positive": 5,
            "auroc": figure(0.6 + 0.05 * fold, 10, None if (seed, fold) == (0, 2) else 0.2),
            "accuracy": figure(0.6, 10),
            "balanced_accuracy": figure(0.6, 10),
            "brier": figure(0.25, 10, 0.1),
        }
        for seed in range(seeds)
        for fold in (1, 2, 3)
    ]
    whole = {"auroc": {"value": 0.7, "low": 0.52, "high": 0.86, "n": 30}}
    others = {name: figure(0.6, 30) for name in ("accuracy", "balanced_accuracy", "brier")}
    means = [0.68, 0.72][:seeds]
    return {
        "design": "nested" if nested else "plain",
        "sentence": "AUROC by patient within folds",
        "patient": {**whole, **others},
        "by_seed": [{"seed": seed, "auroc": figure(mean, 30), **others} for seed, mean in enumerate(means)],
        "spread": {"n": 2, "low": 0.68, "high": 0.72, "sd": 0.028} if seeds == 2 else None,
        "folds": folds,
        "candidates": [
            {"number": number, "choices": chosen, "wins": sum(fold["candidate"] == number for fold in folds)}
            for number, chosen in enumerate(choices, start=1)
        ],
        "trainings": len(folds) * len(choices),
        "class_names": ["unmethylated", "methylated"],
        "positive_class": 1,
        "synthetic": True,
        "left_out": "What the interval does not say.",
        "ensemble": None,
        "no_ensemble": "There is no ensemble here.",
    }
