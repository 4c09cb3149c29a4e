"""Does a network find the label where the brain, and the tumour with it, is painted out? On heads with nothing planted, no.

The same small ResNet18 is trained twice on 240 synthetic studies of signal 3, once on heads painted in one grey
(``blank_head``), once on the heads as they are, and judged on 200 studies of another cohort.

    python benchmarks/bench_blank.py

The interval on blanked heads should hold 0.5, the other lie above it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import call_core, machine, print_table

SETTINGS = ("weights=none", "size_px=64", "slice_count=4", "epochs=8", "batch_size=32")


def main() -> None:
    """Train both, judge both, print a table; exit 1 where either comes out the other way."""
    print(machine())
    found = {}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        call_core("phantom", home / "train", "--studies", 240, "--signal", 3, "--seed", 13, home=home)
        call_core("phantom", home / "judge", "--studies", 200, "--signal", 3, "--seed", 12, home=home)
        for blank in ("true", "false"):
            settings = [word for name in (*SETTINGS, f"blank_head={blank}") for word in ("--set", name)]
            name = home / "runs" / f"blank-{blank}"
            call_core("train", home / "train", "--preset", "honest", "--run", name, *settings, home=home)
            judged = call_core("evaluate", name, "--data", home / "judge", home=home)
            found[blank] = judged["patient"]["auroc"]
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
    sys.exit(not expected)


if __name__ == "__main__":
    main()
