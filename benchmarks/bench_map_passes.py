"""What it gains to draw every method's map at every layer from one pass through the network.

The shipped checkpoint at 224 px on the slices of one synthetic study: all methods at all layers from one pass forth and back, against
a pass for each, which is what a loop over pytorch_grad_cam's classes does. The maps must be the same to the bit.

    python benchmarks/bench_map_passes.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measuring import PROJECT, interleave, machine, parse_arguments, print_table

from core.data.cohort import scan_cohort
from core.data.prepare.cache import load_prepared
from core.explain.cam import explain_each, explain_many
from core.explain.methods import METHODS
from core.explain.validation.tumour_images import pool
from core.inference.predict import Predictor
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import load_settings


def main() -> None:
    """Time both, print the ratio; exit 1 where the maps differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(images=16)
    arguments = parse_arguments(parser, rounds=1, images=1)
    rounds = arguments.rounds
    print(machine())
    predictor = Predictor(PROJECT / "checkpoints" / "demo-synthetic.safetensors")
    with TemporaryDirectory() as folder:
        settings = load_settings({"MGMT_LAB_HOME": folder})
        make_phantom(Path(folder) / "one", PhantomConfig(studies=2, signal=3, seed=4), jobs=1)
        series = scan_cohort(Path(folder) / "one").studies[0].series
        prepared = pool([load_prepared((one,), predictor.card.config.prep, settings) for one in series])
    combinations = [(name, layer) for layer in predictor.architecture.layers for name, method in METHODS.items()
                    if method.by_layer]  # fmt: skip
    images = range(min(arguments.images, len(prepared.pixels)))

    def alone() -> list[np.ndarray]:
        return [
            np.stack([cam.heat for cam in explain_many(predictor, prepared, images, name, layer=layer)])
            for name, layer in combinations
        ]

    def together() -> list[np.ndarray]:
        return [
            np.stack([cam.heat for cam in cams]) for cams in explain_each(predictor, prepared, combinations, images)
        ]

    same = all(np.array_equal(one, other) for one, other in zip(alone(), together(), strict=True))
    seconds = interleave({"a pass for each": alone, "one pass": together}, rounds)
    print_table(
        f"{len(combinations)} combinations of method and layer, {len(images)} pictures, median of {rounds} rounds",
        ("way", "CPU seconds"),
        list(seconds.items()),
    )
    print(f"one pass: {seconds['a pass for each'] / seconds['one pass']:.1f} times as fast; the same maps: {same}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
