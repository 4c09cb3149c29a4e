"""Kill a training at random moments, resume it, and compare it with one that was never interrupted, bit by bit.

``python benchmarks/bench_resume.py [--kills 20] [--epochs 12]``. Each attempt is a process of its own, as the queue
starts it, and is killed with SIGKILL: every other one at a random moment (in mid-epoch, mostly), the others in the
gaps in which files are written (just after the best checkpoint, the state to resume from, or the log of epochs
appeared). There are no loader workers to kill: images are read from memory maps in the trainer itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import PROJECT, machine, parse_arguments

SETTINGS = ("weights=none", "size_px=32", "slice_count=4", "batch_size=16", "device=cpu", "precision=float32")
WATCHED = ("best.safetensors", "resume.pt", "epochs.jsonl")
SHARES = {"": (0.2, 0.98), "best.safetensors": (0.0, 0.3), "resume.pt": (0.2, 0.7), "epochs.jsonl": (0.2, 0.7)}
"""After what share of a whole run's time to kill; a best epoch comes early or not at all."""


def main() -> int:
    """Make a cohort, train once whole, then again and again with a kill, and count what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(studies=20)
    arguments = parse_arguments(parser, kills=2, epochs=3, studies=8)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MGMT_LAB_HOME": folder, "MGMT_LAB_THREADS": "1"}
        return _measure(Path(folder), arguments)


def _measure(home: Path, arguments: argparse.Namespace) -> int:
    from core.config import apply_settings
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig
    from core.presets import find_preset
    from core.runs.folder import RunFolder, delete_run
    from core.runs.records import DataSource
    from core.settings import load_settings

    settings = load_settings()
    make_phantom(home / "cohort", PhantomConfig(studies=arguments.studies, signal=3, slices=12, size=48), jobs=1)
    config = apply_settings(find_preset("honest").config, [*SETTINGS, f"epochs={arguments.epochs}"])
    source = DataSource(root=str(home / "cohort"))
    whole = RunFolder.create(settings, config, source, "whole")
    began = time.monotonic()
    _train(whole.path)
    seconds = time.monotonic() - began
    expected = _outcome(whole.path)
    print(f"uninterrupted: {arguments.epochs} epochs in {seconds:.1f} s", flush=True)
    generator = random.Random(arguments.seed)
    mismatches = number = 0
    while number < arguments.kills:
        run = RunFolder.create(settings, config, source, f"killed-{number}")
        gap = WATCHED[number // 2 % 3] if number % 2 else ""
        share = generator.uniform(*SHARES[gap])
        where = _train(run.path, share * seconds, gap)
        if not where:  # It was done before the kill: no attempt.
            delete_run(run)
            continue
        status = run.status()
        done = len(run.epochs())
        run.write_status(status.model_copy(update={"state": "queued"}))
        _train(run.path)
        differing = [name for name, value in _outcome(run.path).items() if value != expected[name]]
        mismatches += bool(differing)
        number += 1
        print(
            f"kill {number:2}: {where}, {status.state} after {done} epochs, then {run.status().state}; "
            f"{'differs in ' + ', '.join(differing) if differing else 'identical'}",
            flush=True,
        )
    print(f"{arguments.kills} kills, {mismatches} mismatches in weights, curves (times apart) or predictions")
    return int(mismatches > 0)


def _train(run: Path, kill_after: float | None = None, gap: str = "") -> str:
    """Train in a process of its own; kill it after so many seconds, or at the first change of a file after them.

    Returns where it was killed; empty where it was done before.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    trainer = subprocess.Popen(
        [sys.executable, "-m", "core.training.trainer", str(run)], cwd=PROJECT, env=environment, start_new_session=True
    )
    if kill_after is None:
        if trainer.wait() != 0:
            raise SystemExit(f"the trainer of {run.name} failed; see {run / 'train.log'}")
        return "not killed"
    deadline = time.monotonic() + kill_after
    while time.monotonic() < deadline and trainer.poll() is None:
        time.sleep(0.002)
    if gap:
        before = _changed(run / gap)
        while _changed(run / gap) == before and trainer.poll() is None:
            time.sleep(0.0002)
    if trainer.poll() is not None:
        return ""
    os.killpg(trainer.pid, signal.SIGKILL)
    trainer.wait()
    return f"just after {gap} changed" if gap else f"after {kill_after:.1f} s"


def _changed(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _outcome(run: Path) -> dict[str, object]:
    """What must be equal: every tensor of the best weights, every epoch's figures but those of the machine, every
    validation logit."""
    import pandas as pd
    from safetensors.numpy import load_file

    from core.runs.records import MACHINE_FIELDS

    epochs = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    return {
        "weights": {name: value.tobytes() for name, value in load_file(run / "best.safetensors").items()},
        "curves": [{name: value for name, value in epoch.items() if name not in MACHINE_FIELDS} for epoch in epochs],
        "predictions": pd.read_parquet(run / "predictions.parquet").to_csv(),
    }


if __name__ == "__main__":
    sys.exit(main())
