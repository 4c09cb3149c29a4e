"""Tables of predictions whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.experiments.referee.table import Predictions, read_predictions


def draw_table(n: int = 300, signal: float = 1.0, seed: int = 0, parts: bool = False) -> pd.DataFrame:
    """Calibrated binormal probabilities of so many patients, half of each class on average."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(n) < 0.5).astype(int)
    odds = generator.normal((2 * labels - 1) * signal**2 / 2, signal)
    table = pd.DataFrame(
        {"id": [f"P{number:04d}" for number in range(n)], "label": labels, "probability": 1 / (1 + np.exp(-odds))}
    )
    if parts:
        table["part"] = np.where(np.arange(n) < n // 2, "train", "test")
    return table


def read(table: pd.DataFrame, folder: Path) -> Predictions:
    """Write a table and read it as a person's."""
    path = folder / "predictions.csv"
    table.to_csv(path, index=False)
    return read_predictions(path)
