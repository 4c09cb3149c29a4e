"""The table of a BIDS cohort, read whole: every participant indexed with a tiny image, the labels against the table's own.

``DIR`` holds participants.tsv (OpenNeuro ds007045, for example); its pictures are not needed.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from measuring import parse_arguments

from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.data.summary import describe_cohort

SUFFIXES = ("run-01_T1w", "run-02_T1w", "T2w", "FLAIR")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", nargs="?")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parse_arguments(parser)
    if arguments.folder is None and not arguments.tiny:
        parser.error("name the folder that holds participants.tsv")
    with tempfile.TemporaryDirectory() as place:
        source = arguments.folder or write_tiny(Path(place) / "source")
        with (source / "participants.tsv").open(encoding="utf-8-sig", newline="") as file:
            truth = {row["participant_id"]: row["MGMT"] for row in csv.DictReader(file, delimiter="\t")}
        cohort = scan_cohort(make_tree(Path(place) / "tree", source, list(truth)))
    content = describe_cohort(cohort)
    document = {
        **{key: content[key] for key in ("cohort", "persons", "sessions", "labels", "excluded")},
        "participants": len(truth),
        "right": sum(str(study.label) == truth.get(study.study_id) for study in cohort),
        "sites": {site: sum(study.covariates.get("site") == site for study in cohort) for site in sites_of(cohort)},
    }
    print(json.dumps(document) if arguments.json else "\n".join(f"{name}: {value}" for name, value in document.items()))


def write_tiny(folder: Path) -> Path:
    """Write a table of four participants."""
    folder.mkdir()
    rows = "".join(f"sub-BO{number}\t{number % 2}\n" for number in range(4))
    (folder / "participants.tsv").write_text(f"participant_id\tMGMT\n{rows}")
    return folder


def make_tree(root: Path, source: Path, subjects: list[str]) -> Path:
    """Write a tiny volume of each sequence for each subject, and the table and its sidecar as they are."""
    volume = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(4, 5, 3), np.eye(4)).to_bytes()
    for subject in subjects:
        folder = root / subject / "anat"
        folder.mkdir(parents=True)
        for suffix in SUFFIXES:
            (folder / f"{subject}_{suffix}.nii").write_bytes(volume)
    for name in ("participants.tsv", "participants.json"):
        if (source / name).is_file():
            (root / name).write_bytes((source / name).read_bytes())
    return root


def sites_of(cohort: Cohort) -> list[str]:
    """The sites that the cohort's studies come from."""
    return sorted({str(study.covariates.get("site")) for study in cohort})


if __name__ == "__main__":
    main()
