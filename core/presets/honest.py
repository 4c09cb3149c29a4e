"""The protocol that splits by patient, and how presets are built that differ from it in a few values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.config import AugmentationConfig, OptimiserConfig, PrepConfig, RunConfig, ScheduleConfig, SplitConfig
from core.presets.preset import Preset, ours_for_all

HONEST_REASONS: dict[str, str] = {
    "architecture": "the paper's network, so that only the protocol differs",
    "weights": "ImageNet, as the paper",
    "split_unit": "every patient in one part, both classes in each part",
    "select_on": "the figure that is reported: AUROC per patient, not accuracy per slice",
    "optimiser": "AdamW trains from random and from pretrained weights alike",
    "schedule": "one cycle of warm-up and annealing",
    "crop": "heads of all scans about equally large",
    "fit": "keeps the millimetre proportions",
    "slice_count": "the same number from each series, so that no patient weighs more",
    "slice_span": "the middle of the brain, where slices show most tissue",
    "flip_planes": "a flipped sagittal slice exchanges face and back of the head, which no scan shows",
    "rotation_degrees": "small: a head may lie tilted",
    "scale_fraction": "small: heads differ in size",
    "shift_fraction": "small: heads lie off centre",
}

HONEST_CONFIG = RunConfig(
    preset="honest",
    prep=PrepConfig(slice_count=8, slice_span=0.5, crop=True, fit="pad"),
    epochs=20,
    batch_size=32,
    optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.001, weight_decay=0.01),
    schedule=ScheduleConfig(schedule="one_cycle"),
    augmentation=AugmentationConfig(
        flip_probability=0.5, flip_planes="left_right", rotation_degrees=10, scale_fraction=0.1, shift_fraction=0.05
    ),
    split=SplitConfig(split_unit="patient", val_fraction=0.2, test_fraction=0.2),
    select_on="val_patient_auroc",
)

HONEST = Preset(
    name="honest",
    title="Split by patient",
    after="the paper, split otherwise",
    summary=(
        "The same network evaluated by patient: every patient is in exactly one part, the best epoch is chosen on the "
        "AUROC per patient, and the test patients are not read until evaluate is called."
    ),
    config=HONEST_CONFIG,
    provenance=ours_for_all(HONEST_REASONS),
)


def vary_honest(
    name: str, *, title: str, after: str, summary: str, reasons: Mapping[str, str], **changes: Any
) -> Preset:
    """Return a preset with the split, selection and augmentation of the honest one.

    Parameters
    ----------
    name, title, after, summary
        As in :class:`Preset`.
    reasons
        Why its values are what they are, by plain field name, where the honest preset's reasons do not hold.
    changes
        Fields of the configuration that differ.
    """
    return Preset(
        name=name,
        title=title,
        after=after,
        summary=summary,
        config=HONEST_CONFIG.model_copy(update={"preset": name, **changes}),
        provenance=ours_for_all({**HONEST_REASONS, **reasons}),
    )
