"""How many series are recognised as the MR sequence that they are, study by study, from their headers alone.

DIR is a BIDS tree of sidecars (pictures are not needed) or a folder of DICOM as STUDY/SEQUENCE/files. The names of files
and folders are the truth and are not shown to the recognition: the suffixes T1w, T2w and FLAIR; T1w with ``ce-``, or as
``run-02``, is T1wCE. Other series stand beside the four, and are right where they are set aside.

Tried again without order and times, and without one of the two T1-weighted series of each study.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import TINY_SCAN, call_core, parse_arguments, print_table

from core.data.formats.acquisition import Acquisition, read_sidecar
from core.data.formats.dicom import read_header
from core.data.formats.discovery import detect_kind
from core.data.index.recognise import Recognition, SeriesEvidence, recognise_name, recognise_study
from core.mri import MRSequence

FOUR = [sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN]
SUFFIXES = {"FLAIR": MRSequence.FLAIR, "T1w": MRSequence.T1W, "T2w": MRSequence.T2W}
ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9]+)")


@dataclass(frozen=True)
class Item:
    """A series: what it is, and what it says."""

    study: str
    site: str
    truth: MRSequence
    acquisition: Acquisition
    where: str


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--wrong", action="store_true", help="name on standard error what was recognised wrongly")
    arguments = parse_arguments(parser)
    if arguments.folder is None and not arguments.tiny:
        parser.error("name a BIDS tree or a folder of DICOM as STUDY/SEQUENCE/files")
    with TemporaryDirectory() as scratch:
        if arguments.folder is None:
            arguments.folder = Path(scratch) / "cohort"
            call_core("phantom", arguments.folder, "--studies", 2, *TINY_SCAN, home=Path(scratch))
        items = read_sidecars(arguments.folder) or read_dicom(arguments.folder)
    if not items:
        parser.error(
            f"no sidecar of a T1w, T2w or FLAIR and no DICOM in {arguments.folder}; name a BIDS tree or STUDY/SEQUENCE/files"
        )
    document = {**score(items), "sites": score_sites(items), "ablations": {}}
    for name, change in ABLATIONS.items():
        left = list(change(items))
        document["ablations"][name] = {**score(left), "sites": score_sites(left)}
    if arguments.json:
        print(json.dumps(document))
    else:
        print_document(document)
    if arguments.wrong:
        for item, found in recognise(items):
            if found.sequence is not item.truth:
                how = f"recognised as {found.sequence} ({found.confidence}; {found.reason})"
                print(f"{item.where}: {item.truth}, {how}", file=sys.stderr)


def read_sidecars(root: Path) -> list[Item]:
    """Read the sidecars of a BIDS tree."""
    items = []
    for path in sorted(root.rglob("sub-*.json")):
        entities = dict(ENTITY.findall(path.stem))
        suffix = path.stem.rpartition("_")[2]
        truth = SUFFIXES.get(suffix, MRSequence.UNKNOWN)
        if suffix == "T1w" and ("ce" in entities or entities.get("run", "").lstrip("0") == "2"):
            truth = MRSequence.T1WCE
        study = f"{entities['sub']} {entities.get('ses', '')}"
        site = entities["sub"].rstrip("0123456789")
        items.append(Item(study, site, truth, read_sidecar(path), path.name))
    return items


def read_dicom(root: Path) -> list[Item]:
    """Read one header of each folder of DICOM; the name of the folder is the truth."""
    items = []
    for folder in sorted({path.parent for path in root.rglob("*") if path.is_file()}):
        first = next(
            (path for path in sorted(folder.iterdir()) if path.is_file() and detect_kind(path) == "dicom"), None
        )
        if first is not None:
            truth = recognise_name(folder.name) or MRSequence.UNKNOWN
            where = folder.relative_to(root).as_posix()
            items.append(Item(str(folder.parent), "", truth, read_header(first).acquisition, where))
    return items


def recognise(items: Iterable[Item]) -> list[tuple[Item, Recognition]]:
    """Recognise study by study."""
    studies: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        studies[item.study].append(item)
    found: list[tuple[Item, Recognition]] = []
    for study in studies.values():
        answers = recognise_study([SeriesEvidence(acquisition=item.acquisition) for item in study])
        found += zip(study, answers, strict=True)
    return found


def score(items: Iterable[Item]) -> dict[str, Any]:
    """Count what was right, by sequence, and how often "certain" was wrong."""
    n: Counter[str] = Counter()
    right: Counter[str] = Counter()
    certain = wrong = 0
    for item, found in recognise(items):
        name = str(item.truth) if item.truth in FOUR else "other"
        n[name] += 1
        right[name] += found.sequence is item.truth
        if found.confidence == "certain":
            certain += 1
            wrong += found.sequence is not item.truth
    return {
        **{str(name): {"n": n[name], "right": right[name]} for name in (*FOUR, "other")},
        "certain": certain,
        "certain_wrong": wrong,
    }


def score_sites(items: Iterable[Item]) -> dict[str, Any]:
    """Count for each site (the letters that a subject's id begins with)."""
    sites: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        sites[item.site].append(item)
    return {site: score(sites[site]) for site in sorted(sites)} if len(sites) > 1 else {}


def drop_order(items: Iterable[Item]) -> Iterable[Item]:
    """Take away whatever tells which series came first."""
    for item in items:
        bare = replace(item.acquisition, acquired_seconds=None, injected_seconds=None, series_number=None)
        yield replace(item, acquisition=bare)


def drop(sequence: MRSequence) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """Take away the series of one sequence."""
    return lambda items: (item for item in items if item.truth is not sequence)


ABLATIONS: dict[str, Callable[[Iterable[Item]], Iterable[Item]]] = {
    "without order and times": drop_order,
    "without T1w": drop(MRSequence.T1W),
    "without T1wCE": drop(MRSequence.T1WCE),
    "without order, times and T1w": lambda items: drop(MRSequence.T1W)(drop_order(items)),
    "without order, times and T1wCE": lambda items: drop(MRSequence.T1WCE)(drop_order(items)),
}


def print_document(document: dict[str, Any]) -> None:
    """Print the counts as tables, the sites below the whole."""
    for title, scores in (("all fields", document), *document["ablations"].items()):
        rows = []
        for site, counts in (("all", scores), *scores["sites"].items()):
            names = [str(name) for name in (*FOUR, "other")]
            n = sum(counts[name]["n"] for name in names)
            right = sum(counts[name]["right"] for name in names)
            cells = [f"{counts[name]['right']}/{counts[name]['n']}" for name in names]
            rows.append((site, *cells, f"{right / max(n, 1):.1%}", counts["certain"], counts["certain_wrong"]))
        header = ("site", *map(str, FOUR), "other", "right", "certain", "certain and wrong")
        print_table(f"recognised rightly, {title}", header, rows)


if __name__ == "__main__":
    main()
