"""Training: images per second as the paper would train, as this project does, and on tensors held in memory.

All three train the same ResNet18 with the same optimiser on the same images at 224 x 224, in this process, and take
turns in blocks, for a busy machine slows whoever is at work:

(a) as the paper would: torchvision's ImageFolder of PNG files of that size, its transform (resize, random flip, tensor,
    ImageNet's mean and standard deviation), a DataLoader with two workers, float32;
(b) ours: the steps of `train`, from the cache, on a GPU from the images that it holds; precision "auto";
(c) the steps of (b) on batches that were gathered beforehand, on the device.

Targets: (b) at least 2.2 times (a) on a CPU that computes in bfloat16, at least 5 times on a GPU; and at least 97% of (c)
on a CPU, 90% on a GPU. The ratios are medians over blocks of one run, by the clock; those by CPU time, workers included,
stand beside them, for they hold also where others keep the processor busy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import cpu_seconds_of_all, machine, parse_arguments, print_table
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from core.training.state import TrainingSpec, TrainingState

PAPER, OURS, MEMORY = "(a) as the paper would", "(b) ours", "(c) ours, from memory"
TARGETS = {"cpu": (2.2, 0.97), "cuda": (5.0, 0.90)}
"""Device -> (b) / (a), (b) / (c)."""


def main() -> int:
    """Measure and print; 2 where the device is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=TARGETS, default="cpu")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--steps", type=int, help="steps of a block; by default 2 on a CPU and 50 on a GPU")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, help="of the network; by default the CPUs there are")
    parser.set_defaults(size=224)
    arguments = parse_arguments(parser, blocks=1, steps=1, batch=4, threads=1, size=32)
    import torch

    from core.settings import load_settings

    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("This machine has no CUDA GPU; measure with --device cpu.", file=sys.stderr)
        return 2
    torch.set_num_threads(arguments.threads or load_settings().threads)
    steps = arguments.steps or (2 if arguments.device == "cpu" else 50)
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(Path(folder), arguments)
        measure(spec, Path(folder), arguments.device, arguments.blocks, steps)
    return 0


def make_spec(folder: Path, arguments: argparse.Namespace) -> TrainingSpec:
    """A synthetic cohort prepared, the paper's preset from random weights, and its images as files."""
    from core.config import apply_settings
    from core.data.cohort import scan_cohort
    from core.dataset.export import export_imagefolder
    from core.dataset.split import make_split
    from core.dataset.table import build_table
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig
    from core.presets import find_preset
    from core.settings import load_settings
    from core.training.state import describe_training

    make_phantom(folder / "cohort", PhantomConfig(studies=8, slices=8, size=96), jobs=1)
    settings = load_settings({"MGMT_LAB_HOME": str(folder / "home")})
    sizes = (f"size_px={arguments.size}", f"batch_size={arguments.batch}", "slice_count=8")
    config = apply_settings(find_preset("paper").config, ["weights=none", f"device={arguments.device}", *sizes])
    cohort = scan_cohort(folder / "cohort")
    table = build_table(cohort, config.prep, settings, jobs=1)
    split = make_split(table, config.split, cohort.digest)
    export_imagefolder(table, split, folder / "pictures")
    return describe_training(config, table, split, synthetic=True)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Stands for the feed of a training: batches that are on the device already."""

    batches: dict[bytes, torch.Tensor]

    def take(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """One of the batches, whole."""
        return self.batches[indices.tobytes()]


def measure(spec: TrainingSpec, folder: Path, device: str, blocks: int, steps: int) -> None:
    """Let the three take turns, and print images per second and the verdict."""
    from core.training.loop import start_training

    state = start_training(spec)
    state.model.train()
    held = state.feed.held is not None
    candidates = {
        PAPER: as_the_paper(folder / "pictures" / "TRAIN", spec, device, steps),
        OURS: ours(spec, state, device, steps, in_memory=False),
        MEMORY: ours(spec, state, device, steps, in_memory=True),
    }
    for run_block in candidates.values():
        run_block(0)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for block in range(1, blocks + 1):
        turn = block % len(names)
        for name in names[turn:] + names[:turn]:
            began, cpu_began = time.perf_counter(), cpu_seconds_of_all()
            candidates[name](block)
            seconds[name].append(time.perf_counter() - began)
            cpu_seconds[name].append(cpu_seconds_of_all() - cpu_began)
    show(spec, state, held, seconds, cpu_seconds, device, steps)


def as_the_paper(folder: Path, spec: TrainingSpec, device: str, steps: int) -> Callable[[int], None]:
    """A block of training from PNG files, as torchvision's users write it."""
    import torch
    from torch.utils.data import DataLoader, RandomSampler
    from torchvision import transforms
    from torchvision.datasets import ImageFolder
    from torchvision.models import resnet18

    size, batch = spec.config.prep.size_px, spec.config.batch_size
    transform = transforms.Compose([
        transforms.Resize((size, size)), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    dataset = ImageFolder(str(folder), transform)
    loader = DataLoader(
        dataset, batch_size=batch, sampler=RandomSampler(dataset, num_samples=steps * batch, replacement=True),
        num_workers=2, persistent_workers=True, pin_memory=device == "cuda",
    )  # fmt: skip
    model = resnet18(num_classes=len(dataset.classes)).to(device).train()
    chosen = spec.config.optimiser
    optimiser = torch.optim.SGD(model.parameters(), lr=chosen.learning_rate, momentum=chosen.momentum)
    criterion = torch.nn.CrossEntropyLoss()

    def run_block(block: int) -> None:
        right, loss_sum = 0, 0.0
        for images, labels in loader:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimiser.zero_grad()
            outputs = model(images)
            loss = criterion(outputs, labels)
            loss.backward()
            optimiser.step()
            loss_sum += loss.item() * len(labels)
            right += int((outputs.argmax(1) == labels).sum())
        assert np.isfinite(loss_sum)
        synchronise(device)

    return run_block


def ours(
    spec: TrainingSpec, state: TrainingState, device: str, steps: int, *, in_memory: bool
) -> Callable[[int], None]:
    """A block of the training loop's own steps; all blocks of one kind take the same batches."""
    from core.dataset.batches import batch_order
    from core.training.loop import train_step

    feed, size = state.feed, spec.config.batch_size
    full = [indices for epoch in range(1, steps + 2) for indices in batch_order(spec.train_rows, size, 0, epoch)]
    chosen = [indices for indices in full if len(indices) == size][:steps]
    gathered = Gathered({indices.tobytes(): feed.take(indices) for indices in chosen}) if in_memory else None

    def run_block(block: int) -> None:
        state.epoch, state.feed = block + 1, gathered or feed
        for step, indices in enumerate(chosen):
            state.step = step % spec.steps
            train_step(spec, state, indices)
        synchronise(device)

    return run_block


def synchronise(device: str) -> None:
    """Wait for what a GPU still has to do."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def show(
    spec: TrainingSpec,
    state: TrainingState,
    held: bool,
    seconds: dict[str, list[float]],
    cpu_seconds: dict[str, list[float]],
    device: str,
    steps: int,
) -> None:
    """Print the table, and whether the targets are held."""
    import torch

    images = steps * spec.config.batch_size
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [
        (
            name, images / median[name], images / max(values), images / min(values),
            images / statistics.median(cpu_seconds[name]),
        )
        for name, values in seconds.items()
    ]  # fmt: skip
    compute = state.compute
    title = (
        f"resnet18, {spec.config.prep.size_px} x {spec.config.prep.size_px} px, batches of {spec.config.batch_size}; ours in "
        f"{compute.precision}{', channels last' if compute.channels_last else ''}, pictures "
        f"{'held on the device' if held else 'from the cache'}; n = {len(seconds[OURS])} blocks "
        f"of {steps} steps each, {torch.get_num_threads()} threads"
    )
    where = torch.cuda.get_device_name() if device == "cuda" else machine()
    print_table(f"{title} ({where})", ("training", "pictures/s", "slowest block", "fastest", "per CPU-s"), rows)
    for base, target in zip((PAPER, MEMORY), TARGETS[device], strict=True):
        ratios = [theirs / our for theirs, our in zip(seconds[base], seconds[OURS], strict=True)]
        by_cpu = statistics.median(
            theirs / our for theirs, our in zip(cpu_seconds[base], cpu_seconds[OURS], strict=True)
        )
        ratio = statistics.median(ratios)
        word = "held" if ratio >= target else "not held"
        if base == PAPER and device == "cpu" and compute.precision != "bfloat16":
            word = "no target: this CPU does not compute in bfloat16"
        print(
            f"  {OURS} / {base}: {ratio:.3g} ({min(ratios):.3g} to {max(ratios):.3g}), by CPU time {by_cpu:.3g}; "
            f"target {target:g}: {word}"
        )


if __name__ == "__main__":
    sys.exit(main())
