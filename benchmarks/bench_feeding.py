"""Feeding: images per second of real training steps, beside the same steps on tensors already in memory.

Both train the same network on the same images with the same changes. One takes its batches as training does, from
the memory-mapped cache; for the other they were gathered beforehand. The two take turns in blocks, for the same code
twice differs by several per cent on a busy machine, and their medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import machine, parse_arguments, print_table

if TYPE_CHECKING:
    from core.dataset.batches import Batch
    from core.training.state import TrainingSpec, TrainingState


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--steps", type=int, default=6, help="steps of a block")
    parser.add_argument("--size", type=int, default=96, help="edge of a picture in pixels")
    parser.set_defaults(studies=20, batch=32)
    arguments = parse_arguments(parser, blocks=1, steps=1, size=32, studies=8, batch=4)
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(Path(folder), arguments)
        measure(spec, arguments.blocks, arguments.steps)


def make_spec(folder: Path, arguments: argparse.Namespace) -> TrainingSpec:
    """A small synthetic cohort, prepared, and the honest preset's network and training."""
    from core.config import apply_settings
    from core.data.cohort import scan_cohort
    from core.dataset.split import make_split
    from core.dataset.table import build_table
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig
    from core.presets import find_preset
    from core.settings import load_settings
    from core.training.state import describe_training

    make_phantom(folder / "cohort", PhantomConfig(studies=arguments.studies, slices=24, size=128))
    settings = load_settings({"MGMT_LAB_HOME": str(folder / "home")})
    sizes = (f"size_px={arguments.size}", f"batch_size={arguments.batch}", "slice_count=16")
    config = apply_settings(find_preset("honest").config, ["weights=none", *sizes, "precision=float32"])
    cohort = scan_cohort(folder / "cohort")
    table = build_table(cohort, config.prep, settings)
    split = make_split(table, config.split, cohort.digest)
    return describe_training(config, table, split, synthetic=True)


def measure(spec: TrainingSpec, blocks: int, steps: int) -> None:
    """Let the two take turns, and print images per second."""
    from core.training.loop import start_training

    state = start_training(spec)
    state.model.train()
    mapped = endless(spec)
    kept = [next(mapped) for _ in range(steps)]
    seconds: dict[str, list[float]] = {"from the cache": [], "from memory": []}
    run_block(spec, state, iter(kept), steps)
    for block in range(blocks):
        turns = [("from the cache", mapped), ("from memory", iter(kept))]
        for name, batches in turns if block % 2 else turns[::-1]:
            seconds[name].append(run_block(spec, state, batches, steps))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [
        (
            name,
            steps * spec.config.batch_size / median[name],
            f"{median['from memory'] / median[name]:.1%}",
            min(values),
            max(values),
        )
        for name, values in seconds.items()
    ]
    size = spec.table.arrays[0].shape[-1]
    print_table(
        f"{spec.config.architecture}, {size} x {size} px, batches of {spec.config.batch_size}, "
        f"n = {blocks} blocks of {steps} steps each ({machine()})",
        ("batches", "pictures/s", "of memory", "fastest block s", "slowest"),
        rows,
    )


def endless(spec: TrainingSpec) -> Iterator[Batch]:
    """Full batches of one epoch after the other, as training gets them."""
    from core.dataset.batches import train_batches

    epoch = 0
    while True:
        epoch += 1
        for batch in train_batches(spec.table, spec.train_rows, spec.config.batch_size, spec.config.seed, epoch):
            if len(batch.indices) == spec.config.batch_size:
                yield batch


def run_block(spec: TrainingSpec, state: TrainingState, batches: Iterator[Batch], steps: int) -> float:
    """Do some steps as training does them; returns wall seconds, the waiting for batches included."""
    import torch

    from core.dataset.augment import augment
    from core.models.forward import autocast, to_input

    began = time.perf_counter()
    for _ in range(steps):
        batch = next(batches)
        changed = augment(batch.images, spec.config.augmentation, spec.config.seed, 1, batch.indices)
        inputs = to_input(changed, state.architecture, state.compute)
        with autocast(state.compute):
            logits = state.model(inputs)
        loss = torch.nn.functional.cross_entropy(logits.float(), batch.labels.to(state.compute.device))
        assert np.isfinite(loss.item())
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
