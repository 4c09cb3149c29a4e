"""Synthetic cohorts of different seeds, of which the third holds two persons of the first."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from core.phantom.cohort import LABEL_FILE
from core.phantom.config import PhantomConfig
from tests.phantoms import copy_phantom

STUDIES = 8
"""Persons of each cohort, half of them methylated."""
SHARED = 2
"""Persons of the first cohort who are in the third too."""


def make_cohorts(folder: Path) -> list[Path]:
    """Make three cohorts of small scans."""
    roots = [folder / name for name in ("north", "south", "east")]
    for seed, root in enumerate(roots):
        copy_phantom(root, PhantomConfig(studies=STUDIES, slices=4, size=32, signal=3.0, seed=seed))
    copy_persons(roots[0], roots[2], SHARED)
    return roots


def copy_persons(source: Path, target: Path, count: int) -> list[str]:
    """Copy the first studies of a cohort, with their labels, into another; return their ids."""
    with (source / LABEL_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))[:count]
    with (target / LABEL_FILE).open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writerows(rows)
    for row in rows:
        shutil.copytree(source / "train" / row["BraTS21ID"], target / "train" / row["BraTS21ID"])
    return [row["BraTS21ID"] for row in rows]
