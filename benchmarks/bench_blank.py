"""Does a network find the label where the brain, and the tumour with it, is painted out? On heads with nothing planted, no.

The same small ResNet18 is trained twice on 240 synthetic studies of signal 3, once on heads painted in one grey
(``blank_head``), once on the heads as they are, and judged on 200 studies of another cohort.

    python benchmarks/bench_blank.py

The interval on blanked heads should hold 0.5, the other lie above it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import TINY_SCAN, TINY_SETTINGS, call_core, machine, parse_arguments, print_table, set_words

SETTINGS = ("weights=none", "size_px=64", "slice_count=4", "epochs=8", "batch_size=32")


def main() -> None:
    """Train both, judge both, print a table; exit 1 where either comes out the other way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, nargs=2, default=[240, 200], help="to train on, to evaluate on")
    parser.set_defaults(scan=(), settings=SETTINGS)
    arguments = parse_arguments(parser, studies=[12, 8], scan=TINY_SCAN, settings=(*SETTINGS, *TINY_SETTINGS))
    print(machine())
    found = {}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        for part, studies, seed in zip(("train", "evaluate"), arguments.studies, (13, 12), strict=True):
            options = ("--studies", studies, "--signal", 3, "--seed", seed, *arguments.scan)
            call_core("phantom", home / part, *options, home=home)
        for blank in ("true", "false"):
            settings = set_words(*arguments.settings, f"blank_head={blank}")
            name = home / "runs" / f"blank-{blank}"
            call_core("train", home / "train", "--preset", "honest", "--run", name, *settings, home=home)
            evaluated = call_core("evaluate", name, "--data", home / "evaluate", home=home)
            found[blank] = evaluated["patient"]["auroc"]
    rows = [
        (
            what,
            f"{found[blank]['value']:.3f} ({found[blank]['low']:.3f} to {found[blank]['high']:.3f})",
            found[blank]["n"],
        )
        for blank, what in (("true", "painted in one grey"), ("false", "as they are"))
    ]
    print_table("AUROC by patient on another cohort", ("heads", "AUROC", "n"), rows)
    expected = found["true"]["low"] <= 0.5 <= found["true"]["high"] and found["false"]["low"] > 0.5
    print(f"as expected: {'yes' if expected else 'NO'}")
    sys.exit(not (expected or arguments.tiny))


if __name__ == "__main__":
    main()
