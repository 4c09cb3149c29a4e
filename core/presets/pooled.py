"""Networks that encode several slices separately and pool them: a stream per sequence, attention over slices."""

from __future__ import annotations

from core.config import OptimiserConfig, PrepConfig
from core.mri import MRSequence
from core.presets.honest import vary_honest

MULTISTREAM = vary_honest(
    "multistream",
    title="One stream per sequence",
    after="Ge et al. 2018",
    summary="After Ge et al. (2018): one 2D network per sequence (T1wCE, T2w, FLAIR), their features aggregated, then a "
    "joint classifier. Ours are ResNet-18s whose features are averaged, so a study that lacks a sequence is "
    "still answered, and the answer says so.",
    reasons={
        "architecture": "a ResNet-18 up to its third stage per sequence, then a joint fourth stage",
        "form": "the same slice of every sequence, each in its own stream",
        "sequences": "the three of Ge et al.",
        "grid_mm": "one grid, so that the streams see the same place",
        "batch_size": "three images per example",
        "learning_rate": "lower than for one stream: there are three to move",
    },
    architecture="multistream",
    batch_size=16,
    prep=PrepConfig(
        form="streams",
        sequences=(MRSequence.T1WCE, MRSequence.T2W, MRSequence.FLAIR),
        grid_mm=3.0,
        slice_count=8,
        size_px=224,
    ),
    optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0005, weight_decay=0.01),
)

ATTENTION = vary_honest(
    "attention",
    title="Attention over slices",
    after="Ilse et al. 2018",
    summary="The paper's ResNet-18 on every slice of a series, and a learnt weight for each slice (attention pooling after "
    "Ilse et al. 2018): the label is the patient's, and not every slice shows why.",
    reasons={
        "architecture": "a ResNet-18 per slice and a gated attention over the slices",
        "form": "the slices of a series are one bag",
        "slice_count": "16 slices to weigh",
        "batch_size": "16 slices per example",
        "learning_rate": "lower than for single slices: each step sees fewer patients",
    },
    architecture="attention_resnet18",
    batch_size=4,
    prep=PrepConfig(form="volume", slice_count=16, slice_span=0.7, size_px=160),
    optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0003, weight_decay=0.01),
)
