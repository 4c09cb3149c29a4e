"""From slices to the patient: what training chose is in the checkpoint, and judging and predicting combine alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.inference.predict import Predictor
from core.models.card import read_card
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings
from core.training.evaluate import evaluate_run
from core.training.trainer import run_training
from tests.training.tiny import tiny_config


def combine(odds: np.ndarray, method: str, k: int) -> float:
    """A patient's log-odds from those of his slices, with two classes."""
    if method == "mean_logit":
        return float(odds.mean())
    if method == "max":
        return float(odds.max())
    if method == "top_k":
        return float(np.sort(odds)[-k:].mean())
    return float(np.log(((odds > 0).sum() + 0.5) / ((odds <= 0).sum() + 0.5)))


@pytest.mark.parametrize("method", ["mean_logit", "max", "top_k", "vote"])
def test_a_choice_of_training_holds_in_judging_and_predicting(
    method: str, settings: Settings, source: DataSource, tmp_path: Path
) -> None:
    config = tiny_config("epochs=1", f"aggregation={method}", "top_k=2")
    run = run_training(settings, config, source, tmp_path / "run")
    card = read_card(run.checkpoint)
    assert (card.config.aggregation, card.config.top_k) == (method, 2)
    evaluation = evaluate_run(run, "test", settings)
    assert evaluation.to_dict()["aggregation"] == method
    predictor, cohort = Predictor(run.checkpoint), open_cohort(source)
    for place, patient in enumerate(evaluation.patient_ids):
        logits = evaluation.slice_logits[(evaluation.frame["person"] == patient).to_numpy()]
        assert len(logits) == 4  # two slices of each of two sequences
        odds = combine(logits[:, 1] - logits[:, 0], method, 2) / evaluation.temperature
        by_hand = 1 / (1 + np.exp(-odds))
        assert evaluation.patient_probabilities[place, 1] == pytest.approx(by_hand, abs=1e-4)
        study = next(study for study in cohort if study.person == patient)
        assert predictor.predict(study, synthetic=True).probability == pytest.approx(by_hand, abs=1e-3)
