"""What two processes train side by side: ``torchrun --nproc_per_node 2 -m tests.training.side_by_side HOME``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from core.config import RunConfig
from core.dataset.split import Split
from core.errors import LostProcessError
from core.models.registry import ARCHITECTURES
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from core.training import distributed, loop
from core.training.environment import write_environment
from core.training.state import StepReport
from tests.training.tiny import TINY_NETWORK, build_tiny, make_images, tiny_config

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
    "frozen": (*MOVES, "architecture=frozen"),
}


def build_frozen(class_count: int) -> nn.Module:
    """The tiny network with a first layer that does not learn, as the first stage of a two-stage network."""
    model = build_tiny(class_count)
    next(model.children()).requires_grad_(False)
    return model


FROZEN = replace(TINY_NETWORK, name="frozen", network=build_frozen)


def train_case(name: str, settings: Settings, *more: str) -> RunFolder | None:
    """Train one case to its end; the run keeps its last state."""
    config: RunConfig = tiny_config(*CASES[name], *more)
    source = DataSource(root="/nowhere")
    run = RunFolder.create(settings, config, source, name=name, state="running") if distributed.rank() == 0 else None
    for _ in loop.fit(config, TABLE, SPLIT, run=run, on_start=write_environment):
        pass
    return run


def lose_a_peer(settings: Settings) -> None:
    """Rank 1 ends in its fourth step; what rank 0 makes of it goes to lost.txt."""

    def end_rank_1(report: StepReport) -> None:
        if distributed.rank() == 1 and (report.epoch, report.step) == (2, 1):
            os._exit(0)

    try:
        for _ in loop.fit(tiny_config(*CASES["adamw"]), TABLE, SPLIT, on_step=end_rank_1):
            pass
    except LostProcessError as error:
        (settings.home / "lost.txt").write_text(str(error))


def main() -> None:
    """Train every case, one after the other."""
    ARCHITECTURES.update({entry.name: entry for entry in (TINY_NETWORK, FROZEN)})
    loop.SCORED_AT_ONCE = CHUNK
    torch.set_num_threads(1)
    settings = load_settings({"MGMT_LAB_HOME": str(Path(sys.argv[1]))})
    with distributed.process_group():
        for name in CASES:
            train_case(name, settings)
        lose_a_peer(settings)


if __name__ == "__main__":
    main()
