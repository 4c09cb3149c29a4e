"""The first batch that is shown is the one that training's first step gets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.config import RunConfig, apply_settings
from core.data.study import Cohort
from core.dataset.first_batch import preview_first_batch
from core.dataset.split import make_split
from core.dataset.table import build_table
from core.presets import find_preset
from core.settings import Settings
from core.training import micro_batches
from core.training.loop import fit
from core.training.stopping import TrainingStopped
from tests.data.volumes import make_cohort, make_study

SETTINGS = ("size_px=32", "seed=3", "batch_size=7", "slice_count=3", "weights=none", "device=cpu", "precision=float32")
CONFIG = apply_settings(find_preset("honest").config, SETTINGS)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make_cohort(tmp_path, [make_study(tmp_path, f"{number:05d}", number % 2) for number in range(12)])


@pytest.mark.parametrize("more", [(), ("mixup_alpha=1",), ("preset=paper", "split_unit=slice")])
def test_it_is_what_the_first_step_gets(
    cohort: Cohort, settings: Settings, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    config = apply_settings(CONFIG, more)
    images, labels = _first_step(cohort, config, settings, monkeypatch)
    shown = preview_first_batch(cohort, config, settings)
    assert len(shown.examples) == 7
    np.testing.assert_array_equal([example.image for example in shown.examples], images)
    if config.augmentation.mixup_alpha:
        np.testing.assert_allclose([example.shares for example in shown.examples], labels)
    else:
        assert [example.label for example in shown.examples] == labels.tolist()
        assert all(example.shares[example.label] == 1 for example in shown.examples)
    assert [example.label for example in shown.examples] == [
        cohort[example.study_id].label for example in shown.examples
    ]
    assert shown.leaky == (config.split.split_unit == "slice")


def _first_step(
    cohort: Cohort, config: RunConfig, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, torch.Tensor]:
    """Images (n, size, size) and labels that the loss of the first training step is computed from."""
    table = build_table(cohort, config.prep, settings, jobs=1)
    split = make_split(table, config.split, cohort.digest)
    seen: dict[str, Any] = {}
    to_input = micro_batches.to_input

    def keep(images: torch.Tensor, *arguments: Any) -> torch.Tensor:
        seen.setdefault("pictures", images)
        return to_input(images, *arguments)

    def stop(logits: torch.Tensor, labels: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        seen["labels"] = labels
        raise TrainingStopped

    with monkeypatch.context() as patch:
        patch.setattr(micro_batches, "to_input", keep)
        patch.setattr(torch.nn.functional, "cross_entropy", stop)
        with pytest.raises(TrainingStopped):
            next(fit(config, table, split))
    return seen["pictures"].round().to(torch.uint8).numpy(), seen["labels"]


def test_the_count_of_steps_is_an_epochs(cohort: Cohort, settings: Settings) -> None:
    shown = preview_first_batch(cohort, CONFIG, settings)
    reports = []
    table = build_table(cohort, CONFIG.prep, settings, jobs=1)
    config = apply_settings(CONFIG, ["epochs=1"])
    split = make_split(table, config.split, cohort.digest)
    list(fit(config, table, split, on_step=reports.append))
    assert shown.steps == max(report.step for report in reports if report.phase == "training")
    assert shown.train_examples == len(split.indices(table, "train"))
