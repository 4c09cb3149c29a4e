"""Do the maps of a network that learnt its task point at the tumour, where a random network's do not?

A ResNet18 goes on from the shipped checkpoint's weights at 224 px, on the contrast-enhanced series of 120 synthetic studies
of signal 3, in two turns of AdamW and one cycle, with stronger augmentation than ``honest`` (places, sizes, turns and grey
levels give nothing away). Its maps are then put to the test on 100 studies of another cohort. LayerCAM at layer2,
smoothed, was chosen beforehand, on a third one.

    python benchmarks/bench_maps.py [--checkpoint FILE] [--studies 100] [--keep FILE]

At least 0.90 of the maps should be strongest inside the tumour, with the interval above both controls, a random place and
the same network with random weights. The training takes about twenty minutes on one core with AMX, and
three quarters of an hour on one without; ``--checkpoint`` tests the maps of one that is there, ``--keep`` writes the trained
one with its card: so the shipped ``demo-synthetic-t1wce`` was made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import PROJECT, TINY_SETTINGS, call_core, machine, parse_arguments, print_table, set_words

METHOD, LAYER = "layercam-smooth", "layer2.1"
LEAST = 0.90
SHARED = (
    "sequences=T1wCE", "size_px=224", "slice_count=8", "slice_span=0.35", "batch_size=16", "learning_rate=0.0005",
    "flip_planes=all", "rotation_degrees=20", "scale_fraction=0.15", "shift_fraction=0.08", "brightness_shift=0.05",
    "brightness_scale=0.15", "gamma_spread=0.3", "bias_field=0.15", "val_fraction=0.15", "test_fraction=0",
)  # fmt: skip
TURNS = (("epochs=10", "select_on=val_patient_auroc"), ("epochs=12", "select_on=val_accuracy"))


def train(home: Path, arguments: argparse.Namespace) -> Path:
    """Train in turns, each from the weights that the one before left, and return the last checkpoint."""
    cohort, weights = home / "train", PROJECT / "checkpoints" / "demo-synthetic.safetensors"
    scans = ("--studies", arguments.train, "--signal", 3, "--seed", 21, *arguments.scan)
    call_core("phantom", cohort, *scans, home=home)
    for number, turn in enumerate(TURNS, start=1):
        settings = set_words(*SHARED, *turn, f"weights={weights}", *arguments.settings)
        run = home / "runs" / f"t1wce-turn-{number}"
        trained = call_core("train", cohort, "--preset", "honest", "--run", run, *settings, home=home)
        weights = Path(trained["checkpoint"])
    return weights


def text(figure: dict[str, Any] | None) -> str:
    """A figure as it stands in the table."""
    return "-" if figure is None else f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def main() -> None:
    """Train, test the maps, print a table, and say whether the chosen method does what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument(
        "--keep", type=Path, help="write the checkpoint there, judged on the other cohort, with its card"
    )
    parser.add_argument("--method", action="append", default=[], help="beside the chosen one; repeat for several")
    parser.set_defaults(train=120, scan=(), settings=())
    arguments = parse_arguments(parser, studies=4, train=16, scan=("--slices", 8, "--size", 32), settings=TINY_SETTINGS)
    print(machine())
    with TemporaryDirectory() as folder:
        home = Path(folder)
        checkpoint = arguments.checkpoint.resolve() if arguments.checkpoint else train(home, arguments)
        scans = ("--studies", arguments.studies, "--signal", 3, "--seed", 22, *arguments.scan)
        call_core("phantom", home / "evaluate", *scans, home=home)
        if arguments.tiny:
            arguments.keep = home / "kept.safetensors"
        if arguments.keep is not None:
            run = checkpoint.parent
            call_core("evaluate", run, "--data", home / "evaluate", home=home)
            checkpoint = arguments.keep.resolve()
            call_core("export", "checkpoint", run, "--out", checkpoint, "--replace", home=home)
            call_core(
                "maps", checkpoint, home / "evaluate", "--studies", arguments.studies, "--method", METHOD, "--layer", LAYER,
                "--keep", home=home,
            )  # fmt: skip
        methods = [word for name in (METHOD, *arguments.method) for word in ("--method", name)]
        found = call_core("maps", checkpoint, home / "evaluate", "--studies", arguments.studies, *methods, home=home)
    print_table(
        f"Maps of {checkpoint.name}: {found['pictures']} pictures of {found['studies']} studies, signal 3",
        ("method", "layer", "hits", f"within {found['tolerance_px']:.0f} px", "hits what z changes", "random weights hit",
         "ROAD", "ROAD, random weights", "SSIM to random weights"),
        [
            (score["method"], score["layer"], *(text(score[name]) for name in (
                "hits", "near_hits", "changed_hits", "random_hits", "road", "random_road")), text(score["similarity"][-1]))
            for score in found["scores"]
        ],
    )  # fmt: skip
    print(
        f"\na random place: {text(found['chance'])}; within {found['tolerance_px']:.0f} px {text(found['near_chance'])}; "
        f"on what z changes {text(found['changed_chance'])}\nthe answer moves z's way: {text(found['moved'])}"
    )
    chosen = next(score for score in found["scores"] if (score["method"], score["layer"]) == (METHOD, LAYER))
    hits = chosen["hits"]
    above = hits["low"] > max(found["chance"]["high"], chosen["random_hits"]["high"])
    passed = hits["value"] >= LEAST and above
    print(f"{METHOD} at {LAYER}: {text(hits)}, n = {hits['n']} pictures; as expected: {'yes' if passed else 'NO'}")
    sys.exit(not (passed or arguments.tiny))


if __name__ == "__main__":
    main()
