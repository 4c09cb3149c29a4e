"""The preview shows what training sees: the same preparation, the same changes, both classes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import apply_settings
from core.dataset.augment import augment, find_mirrors
from core.dataset.preview import preview_examples
from core.dataset.table import build_table
from core.errors import DataError
from core.presets import find_preset
from core.settings import Settings
from tests.data.volumes import make_cohort, make_study

CONFIG = apply_settings(find_preset("honest").config, ["size_px=32", "seed=3"])


def test_it_is_what_training_makes_of_the_same_rows(tmp_path: Path, settings: Settings) -> None:
    cohort = make_cohort(tmp_path, [make_study(tmp_path, f"{number:05d}", number // 3) for number in range(6)])
    found = preview_examples(cohort, CONFIG, settings, count=2, epochs=3)
    assert [preview.label for preview in found] == [0, 1]
    few = make_cohort(tmp_path, [cohort["00000"], cohort["00003"]])
    table = build_table(few, CONFIG.prep, settings, jobs=1)
    rows = np.array([1, 3])
    images = table.images(rows)
    for place, preview in enumerate(found):
        np.testing.assert_array_equal(preview.original, images[place])
        for epoch, changed in enumerate(preview.changed, start=1):
            mirrors = find_mirrors(table.rows.iloc[rows])
            expected = augment(torch.from_numpy(images), CONFIG.augmentation, 3, epoch, rows, mirrors)[place]
            np.testing.assert_array_equal(changed, expected.round().numpy().astype(np.uint8))
    assert not np.array_equal(found[0].changed[0], found[0].changed[1])


def test_without_augmentation_nothing_changes(tmp_path: Path, settings: Settings) -> None:
    still = apply_settings(CONFIG, ["flip_probability=0", "rotation_degrees=0", "scale_fraction=0", "shift_fraction=0"])
    cohort = make_cohort(tmp_path, [make_study(tmp_path, "00001", 0), make_study(tmp_path, "00002", 1)])
    for preview in preview_examples(cohort, still, settings, epochs=1):
        np.testing.assert_array_equal(preview.changed[0], preview.original)


def test_a_cohort_without_labels_is_refused(tmp_path: Path, settings: Settings) -> None:
    cohort = make_cohort(tmp_path, [make_study(tmp_path, "00001", None)])
    with pytest.raises(DataError, match="has a label, so there is nothing to train on"):
        preview_examples(cohort, CONFIG, settings)


def test_mixup_blends_the_examples_and_says_how_far(tmp_path: Path, settings: Settings) -> None:
    still = ["flip_probability=0", "rotation_degrees=0", "scale_fraction=0", "shift_fraction=0", "mixup_alpha=1"]
    cohort = make_cohort(tmp_path, [make_study(tmp_path, "00001", 0), make_study(tmp_path, "00002", 1)])
    found = preview_examples(cohort, apply_settings(CONFIG, still), settings)
    first, second = (preview.original.astype(float) for preview in found)
    for number in range(4):
        share = found[0].shares[number]
        assert sum(share) == pytest.approx(1)
        assert 0.5 <= share[0] < 1
        expected = share[0] * first + share[1] * second
        np.testing.assert_allclose(found[0].changed[number], expected, atol=1)
