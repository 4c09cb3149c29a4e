"""What two processes train side by side: ``torchrun --nproc_per_node 2 -m tests.training.side_by_side HOME``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from core.config import RunConfig
from core.dataset.split import Split
from core.models.registry import ARCHITECTURES
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from core.training import loop
from core.training.distributed import ALONE, World, join_world
from tests.training.tiny import TINY_NETWORK, make_images, tiny_config

CHUNK = 4
"""Validation images at once, so that both processes have some."""
TABLE, _ = make_images()
SPLIT = Split(
    train=("00000", "00001", "00003", "00006", "00007"), val=("00002", "00004", "00005", "00009", "00010"),
    test=("00008", "00011"), unit="patient", seed=0, cohort_digest="0" * 12,
)  # fmt: skip
"""12 training images of one class and 3 of the other: 15 in batches of 6, 6 and 3, the last too small to be shared."""
MOVES = ("batch_size=6", "epochs=3", "rotation_degrees=10", "noise_std=0.1")
CASES: dict[str, tuple[str, ...]] = {
    "adamw": MOVES,
    "sgd": (*MOVES, "optimiser=sgd", "schedule=step", "step_size=1", "weight_decay=0.01"),
    "weighted": (*MOVES, "class_weights=balanced"),
    "mixup": (*MOVES, "mixup_alpha=0.4"),
}


def train_case(name: str, settings: Settings, *more: str, world: World = ALONE) -> RunFolder | None:
    """Train one case to its end; the run keeps its last state."""
    config: RunConfig = tiny_config(*CASES[name], *more)
    source = DataSource(root="/nowhere")
    run = RunFolder.create(settings, config, source, name=name, state="running") if world.leads else None
    for _ in loop.fit(config, TABLE, SPLIT, run=run, world=world):
        pass
    return run


def main() -> None:
    """Train every case, one after the other."""
    ARCHITECTURES[TINY_NETWORK.name] = TINY_NETWORK
    loop.SCORED_AT_ONCE = CHUNK
    torch.set_num_threads(1)
    settings = load_settings({"MGMT_LAB_HOME": str(Path(sys.argv[1]))})
    with join_world() as world:
        for name in CASES:
            train_case(name, settings, world=world)


if __name__ == "__main__":
    main()
