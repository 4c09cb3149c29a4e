"""Trainings small enough for a test: a tiny configuration, and images made by rule where no scan is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from core.config import RunConfig, apply_settings
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split
from core.models.registry import IMAGENET, Architecture
from core.presets import find_preset
from core.runs.records import MACHINE_FIELDS


def build_tiny(class_count: int) -> nn.Module:
    """A network of 3,000 weights with all that makes resuming hard: batch normalisation and dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, class_count),
    )  # fmt: skip


TINY_NETWORK = Architecture(
    name="tiny", title="Tiny", network=build_tiny, input_form="slice", normalisation=IMAGENET,
    target_layer="3", head="8", pretrained=None,
)  # fmt: skip

TINY = (
    "weights=none",
    "size_px=32",
    "slice_count=2",
    "epochs=2",
    "batch_size=8",
    "sequences=FLAIR,T1w",
    "device=cpu",
    "architecture=tiny",
)


def tiny_config(*settings: str, preset: str = "honest") -> RunConfig:
    """A preset made small, with some settings more."""
    return apply_settings(find_preset(preset).config, [*TINY, "precision=float32", *settings])


def make_images(persons: int = 12, slices: int = 3, size_px: int = 32, classes: int = 2) -> tuple[SliceTable, Split]:
    """Noise with a bright square whose place tells the class; of three persons one validates and one is for testing."""
    generator = np.random.default_rng(0)
    arrays, rows = [], []
    for person in range(persons):
        label = person // 3 % classes
        pixels = generator.integers(0, 90, (slices, size_px, size_px), np.uint8)
        pixels[:, 4 + 9 * label : 12 + 9 * label, 10:22] += 120
        arrays.append(pixels)
        rows += [
            {
                "key": f"{person:05d}|FLAIR|0|{index}", "study_id": f"{person:05d}", "person": f"{person:05d}",
                "label": label, "sequence": "FLAIR", "plane": "unknown", "slice_index": index, "position_mm": 5.0 * index,
                "file": f"{index}.dcm", "phase": "", "array": person, "offset": index,
            }
            for index in range(slices)
        ]  # fmt: skip
    names = tuple(f"class {index}" for index in range(classes)) if classes > 2 else ("unmethylated", "methylated")
    table = SliceTable(rows=pd.DataFrame(rows), arrays=tuple(arrays), class_names=names, positive_class=1)
    everybody = [f"{person:05d}" for person in range(persons)]
    split = Split(
        train=tuple(everybody[0::3]), val=tuple(everybody[1::3]), test=tuple(everybody[2::3]),
        unit="patient", seed=0, cohort_digest="0" * 12,
    )  # fmt: skip
    return table, split


def forget_time(line: str) -> str:
    """An epoch's record without what it says of the machine."""
    return json.dumps({k: v for k, v in json.loads(line).items() if k not in MACHINE_FIELDS})


def finished_epochs(folder: Path) -> list[str]:
    """The epochs of a run's folder, without what they say of the machine."""
    return [forget_time(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
