"""Do two versions of the project prepare, train and predict the same, to the bit?

    python benchmarks/same_results.py [--checkout DIR] [--data DIR ...] > one.json
    python benchmarks/same_results.py --checkout OTHER --against one.json

Only the command line of the checkout is used, so that modules may have other names in it. Each preset's preparation of a
synthetic cohort, a few short trainings in float32 on one thread, and the answers of the shipped checkpoints are each made
in an empty home and reduced to SHA-256 digests (figures to 12 digits); ``--data`` names folders that are prepared and predicted too, for
example of real scans. Digests of trainings and predictions hold on one kind of processor only: make both on one machine.
``--against`` prints what differs, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

PRESETS = (
    "paper", "honest", "spatiospatial-r2plus1d", "volumetric", "two-stage", "multistream", "winner", "attention",
)  # fmt: skip
"""Between them: slices, streams and volumes; each series in its own planes and on a common grid; every normalisation."""
SMALL = (
    "weights=none", "size_px=48", "slice_count=4", "epochs=2", "batch_size=8", "precision=float32", "device=cpu",
    "val_fraction=0.25", "test_fraction=0.25",
)  # fmt: skip
TRAININGS = {
    "honest": ("honest",),
    "paper": ("paper", "split_unit=slice"),
    "augmented": (
        "honest", "noise_std=0.05", "bias_field=0.2", "gamma_spread=0.2", "brightness_shift=0.1", "mixup_alpha=0.3",
    ),
    "micro-batches": ("honest", "micro_batches=2"),
    "attention": ("attention",),
    "volume": ("volumetric", "slice_count=16"),
    "two-stage": ("two-stage", "slice_count=16", "mask_epochs=1"),
    "streams": ("multistream",),
}  # fmt: skip
MACHINE_FIELDS = {"seconds", "images_per_second", "memory_bytes", "gpu_memory_bytes"}
FEW = 10
SHIPPED = ("demo-synthetic", "demo-synthetic-t1wce")


def call(checkout: Path, home: Path, *words: object) -> dict[str, Any] | None:
    """The JSON document of one command of a checkout, on one thread; None where it refuses."""
    environment = {**os.environ, "MGMT_LAB_HOME": str(home), "MGMT_LAB_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "core", *map(str, words), "--json"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    print(f"  {' '.join(map(str, words[:4]))}: {'refused' if done.returncode else 'done'}", file=sys.stderr, flush=True)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else None


def digest(*contents: bytes) -> str:
    """Short SHA-256 over some byte strings and their lengths."""
    total = hashlib.sha256()
    for content in contents:
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()[:16]


def digest_arrays(home: Path) -> list[str]:
    """The sorted digests of all prepared arrays, wherever the cache keeps them: shape, type and bytes."""
    arrays = (np.load(path) for path in (home / "cache" / "prepared").rglob("*.npy"))
    return sorted(digest(str(array.shape).encode(), array.dtype.str.encode(), array.tobytes()) for array in arrays)


def digest_tensors(file: Path) -> str:
    """Digest of a safetensors file's weights, by name, without the card."""
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    parts: list[bytes] = []
    for name in sorted(set(header) - {"__metadata__"}):
        first, last = header[name]["data_offsets"]
        parts += [f"{name} {header[name]['dtype']} {header[name]['shape']}".encode(), content[end + first : end + last]]
    return digest(*parts)


def read_epochs(run: Path) -> dict[str, Any]:
    """Return each epoch's figures by epoch and name, without what they say of the machine."""
    records = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    return {
        f"epoch {record['epoch']}, {name}": write_figure(value)
        for record in records
        for name, value in record.items()
        if name not in MACHINE_FIELDS
    }


def write_figure(value: Any) -> Any:
    """Return a figure with 12 digits: what is computed from equal logits in another order may differ in the last."""
    return f"{value:.12g}" if isinstance(value, float) else value


def prepare(checkout: Path, data: Path, preset: str) -> list[str] | None:
    """Prepare a folder through an empty cache."""
    with TemporaryDirectory() as home:
        done = call(checkout, Path(home), "prepare", data, "--preset", preset, "--jobs", 1)
        return None if done is None else digest_arrays(Path(home))


def train(checkout: Path, cohort: Path, preset: str, *settings: str) -> dict[str, object] | None:
    """Train small and evaluate on the test patients, in an empty home."""
    with TemporaryDirectory() as home:
        dealt = ("split_version=1",) if "split_version" in (checkout / "core" / "config.py").read_text() else ()
        words = [word for setting in (*SMALL, *dealt, *settings) for word in ("--set", setting)]
        run = Path(home) / "runs" / "one"
        if call(checkout, Path(home), "train", cohort, "--preset", preset, "--run", "one", *words) is None:
            return None
        found = {"weights": digest_tensors(run / "best.safetensors"), **read_epochs(run)}
        evaluated = call(checkout, Path(home), "evaluate", "one")
        assert evaluated is not None
        return found | {f"test, {name}": write_figure(figure["value"]) for name, figure in evaluated["patient"].items()}


def predict(checkout: Path, checkpoint: str, scans: list[Path]) -> dict[str, str] | None:
    """Digest of each slice's probability by PyTorch, by study."""
    several = (checkout / "core" / "inference" / "runtimes.py").is_file()
    options = ("--runtime", "torch", "--anyway") if several else ()
    with TemporaryDirectory() as home:
        found = call(checkout, Path(home), "predict", checkpoint, *scans, "--sequence", "T1wCE", *options)
    if found is None:
        return None
    return {
        f"{number} {study['study_id']}": digest(
            json.dumps([study["probability"], *(one["probability"] for one in study["slices"])]).encode()
        )
        for number, study in enumerate(found["studies"])
    }


def list_scans(folder: Path) -> list[Path]:
    """What is predicted of a folder: every folder of files below it, and where there are few, each file by itself."""
    scans = []
    for place in sorted({path.parent for path in folder.rglob("*") if path.is_file()}):
        files = sorted(path for path in place.iterdir() if path.is_file())
        scans += [place, *(files if len(files) <= FEW else ())]
    return scans


def measure(checkout: Path, data: list[Path]) -> dict[str, Any]:
    """All digests of one checkout, by what was done."""
    found: dict[str, Any] = {}
    with TemporaryDirectory() as name:
        cohort = Path(name) / "cohort"
        options = ("--studies", 12, "--slices", 24, "--size", 96, "--signal", 3, "--seed", 5, "--jobs", 1)
        call(checkout, Path(name) / "home", "phantom", cohort, *options)
        for preset in PRESETS:
            found[f"prepare synthetic, {preset}"] = prepare(checkout, cohort, preset)
        for title, (preset, *settings) in TRAININGS.items():
            found[f"train {title}"] = train(checkout, cohort, preset, *settings)
        studies = sorted(path for path in (cohort / "train").iterdir() if path.is_dir())[:3]
        for checkpoint in SHIPPED:
            found[f"predict synthetic, {checkpoint}"] = predict(checkout, checkpoint, studies)
    for folder in data:
        for preset in PRESETS:
            found[f"prepare {folder.name}, {preset}"] = prepare(checkout, folder, preset)
        for scan in list_scans(folder):
            found[f"predict {scan.relative_to(folder.parent)}"] = predict(checkout, SHIPPED[0], [scan])
    return found


def compare(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What differs of that which both have, a line each."""
    lines = []
    for name in sorted({*one} & {*other}):
        before, after = one[name], other[name]
        if before == after:
            continue
        if isinstance(before, list) and isinstance(after, list):
            gone, new = len(set(before) - set(after)), len(set(after) - set(before))
            lines.append(f"{name}: {gone} of {len(before)} arrays are gone, {new} of {len(after)} are new")
        elif isinstance(before, dict) and isinstance(after, dict):
            changed = [key for key in before if key in after and before[key] != after[key]]
            lines += [f"{name}, {key}: {before[key]} became {after[key]}" for key in changed]
        else:
            lines.append(f"{name}: {before} became {after}")
    return lines


def main() -> int:
    """Print the digests, or what differs from earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkout", type=Path, default=Path.cwd(), help="whose results; by default the folder one is in"
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="DIR", help="folders that are prepared and predicted too"
    )
    parser.add_argument("--against", type=Path, metavar="FILE", help="what another checkout printed")
    arguments = parser.parse_args()
    found = measure(arguments.checkout.resolve(), [folder.resolve() for folder in arguments.data])
    if arguments.against is None:
        print(json.dumps(found, indent=1))
        return 0
    earlier = json.loads(arguments.against.read_text())
    lines = compare(earlier, found)
    print("\n".join([*lines, f"{len(lines)} differences in {len({*earlier} & {*found})} results"]))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
