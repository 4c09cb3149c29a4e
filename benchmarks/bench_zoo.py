"""Every preset, trained small on one synthetic cohort and judged on another: what it costs, and what it finds.

    python benchmarks/bench_zoo.py --home DIR [--presets winner multistream ...] [--signal 3]

Each preset keeps its network, its input form and its optimiser; images are made small, so that a processor suffices:
slices of 64 x 64, volumes of 16 x 64 x 64, random weights. 120 studies train (24 of them choose the epoch), 100 others
judge. Each preset is measured in a process of its own, and what is in DIR already is not measured again, so the table
can be stopped and gone on with; without DIR it is made in a temporary folder. The figures say what these small forms
find in a synthetic cohort and at what cost; they say nothing of real scans.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measuring import machine, parse_arguments

STUDIES_TO_TIME = 5
COMMON = {"weights": "none", "size_px": 64, "test_fraction": 0.0, "select_on": "val_patient_auroc"}
SLICES: dict[str, object] = {"slice_count": 4, "epochs": 8}
OWN: dict[str, dict[str, object]] = {
    "paper": {**SLICES, "split_unit": "patient"},
    **dict.fromkeys(("honest", "resnet34", "resnet50", "resnet101", "resnet152"), SLICES),
    "multistream": {"slice_count": 4, "epochs": 10},
    "attention": {"slice_count": 4, "epochs": 8},
}
VOLUMES: dict[str, object] = {"slice_count": 16, "epochs": 12}
TINY: dict[str, object] = {"size_px": 32, "slice_count": 8, "epochs": 1, "mask_epochs": 1, "batch_size": 4}


def settings_of(preset: str, tiny: bool) -> dict[str, object]:
    """What is changed of a preset to make it small; the paper's is split by patient, or its figure would mean nothing."""
    return {**COMMON, **OWN.get(preset, VOLUMES), **(TINY if tiny else {})}


def make_cohorts(home: Path, arguments: argparse.Namespace) -> tuple[Path, Path]:
    """The cohort to train on and the one to evaluate on; made once."""
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig

    signal, scan = arguments.signal, {"slices": arguments.slices, "size": arguments.size}
    folders = home / f"train-{signal:g}", home / f"evaluate-{signal:g}"
    for folder, studies, seed in zip(folders, arguments.studies, (21, 22), strict=True):
        if not (folder / "synthetic.json").exists():
            make_phantom(folder, PhantomConfig(studies=studies, signal=signal, seed=seed, **scan))
    return folders


def measure(preset: str, arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Train and evaluate one preset, and time a prediction; in this process, whose memory is then the preset's."""
    from core.config import apply_settings
    from core.data.cohort import scan_cohort
    from core.inference.predict import Predictor
    from core.presets import find_preset
    from core.runs.folder import RunFolder
    from core.runs.records import DataSource
    from core.settings import load_settings
    from core.training.evaluate import evaluate_run
    from core.training.trainer import run_training, train

    settings = load_settings()
    train_on, judge_on = make_cohorts(home, arguments)
    config = apply_settings(find_preset(preset).config, settings_of(preset, arguments.tiny))
    run = RunFolder(home / "runs" / f"{preset}-{arguments.signal:g}")
    if not run.path.exists():
        run_training(settings, config, DataSource(root=str(train_on)), run.path)
    elif run.status().state != "finished":
        train(run, settings)
    if run.status().state != "finished":
        sys.exit(f"{run.name} is {run.status().state}; start the benchmark again to go on with it.")
    records = run.epochs()
    sizes = run.environment()["sizes"]
    examples, patients = sizes["train"]["slices"], sizes["train"]["patients"]
    cohort = scan_cohort(judge_on, settings=settings)
    evaluation = evaluate_run(run, "test", settings, other=cohort)
    predictor = Predictor(run.checkpoint)
    seconds = [predictor.predict(study, synthetic=True).seconds for study in cohort.studies[:STUDIES_TO_TIME]]
    auroc = evaluation.patient["auroc"]
    return {
        "preset": preset,
        "epochs": len(records),
        "parameters": sum(weight.numel() for weight in predictor.model.parameters()),
        "train_seconds": median(examples / record.images_per_second for record in records) / patients,
        "predict_seconds": median(seconds),
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "auroc": auroc.value,
        "low": auroc.low,
        "high": auroc.high,
        "n": auroc.n,
    }


def row_text(row: dict[str, Any]) -> str:
    """One line of the table."""
    above = "yes" if row["low"] > 0.5 else "NO"
    return (
        f"| {row['preset']} | {row['parameters'] / 1e6:.1f} | {row['train_seconds']:.2f} | {row['predict_seconds']:.2f} "
        f"| {row['memory_gib']:.1f} | {row['epochs']} "
        f"| {row['auroc']:.3f} ({row['low']:.3f} to {row['high']:.3f}), n = {row['n']} | {above} |"
    )


def measure_all(arguments: argparse.Namespace, home: Path) -> None:
    """Measure what is not measured yet, one process after the other, and print the table."""
    make_cohorts(home, arguments)
    signal = f"{arguments.signal:g}"
    print(f"{machine()}; signal {signal}\n")
    print(
        "| preset | 10^6 parameters | s per study and epoch | s per prediction | GiB | epochs | patient AUROC | above 0.5 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for preset in arguments.presets:
        result = home / f"{preset}-{signal}.json"
        if not result.exists():
            command = [sys.executable, __file__, "--measure", preset, "--signal", signal, "--home", str(home)]
            command += ["--tiny"] if arguments.tiny else []
            environment = {**os.environ, "MGMT_LAB_HOME": str(home / "lab")}
            subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
        print(row_text(json.loads(result.read_text())), flush=True)


def main() -> None:
    """Read the arguments."""
    from core.presets import PRESETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--signal", type=float, default=3.0)
    parser.add_argument("--home", type=Path, help="where results are kept, and gone on from")
    parser.add_argument("--measure", choices=list(PRESETS), help=argparse.SUPPRESS)
    parser.set_defaults(studies=(120, 100), slices=24, size=128)
    tiny = ["multistream", "winner"]
    arguments = parse_arguments(parser, presets=tiny, studies=(16, 8), slices=8, size=32)
    if arguments.measure:
        row = measure(arguments.measure, arguments, arguments.home)
        (arguments.home / f"{arguments.measure}-{arguments.signal:g}.json").write_text(json.dumps(row, indent=1))
    elif arguments.home:
        arguments.home.mkdir(parents=True, exist_ok=True)
        measure_all(arguments, arguments.home.resolve())
    else:
        with TemporaryDirectory() as folder:
            measure_all(arguments, Path(folder))


if __name__ == "__main__":
    main()
